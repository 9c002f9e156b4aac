#include "data/hdf5/hdf5_reader.hpp"

#include "core/error.hpp"
#include "data/hdf5/dataset_storage.hpp"
#include "data/hdf5/handle.hpp"
#include "data/hdf5/open_file.hpp"
#include "data/hdf5/virtual_row.hpp"

namespace granule {
namespace {

using hdf5::Dataset;
using hdf5::Handle;
using hdf5::Session;

constexpr const char* kAdvice = "the file is damaged or was written by something else; build it again";

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  user_error(fmt::format("{}: {}", what, hdf5::last_error()), path.string(), kAdvice);
}

bool is_plain_little_endian(hid_t type) {
  return H5Tget_order(type) != H5T_ORDER_BE && H5Tget_offset(type) == 0 &&
         H5Tget_precision(type) == 8 * H5Tget_size(type);
}

struct Attribute {
  Handle itself, type;
};

/// Absent if there is none of this name. It has one value of the class, H5T_STRING or H5T_INTEGER.
std::optional<Attribute> open_attribute(hid_t file, const std::string& name, H5T_class_t wanted,
                                        const std::filesystem::path& path) {
  if (H5Aexists(file, name.c_str()) <= 0) return std::nullopt;
  Handle itself(H5Aopen(file, name.c_str(), H5P_DEFAULT), H5Aclose);
  Handle type(H5Aget_type(itself.get()), H5Tclose);
  const Handle space(H5Aget_space(itself.get()), H5Sclose);
  if (H5Tget_class(type.get()) != wanted || H5Sget_simple_extent_npoints(space.get()) != 1) {
    user_error(fmt::format("attribute {} is not one {}", name, wanted == H5T_STRING ? "string" : "integer"),
               path.string(), kAdvice);
  }
  return Attribute{std::move(itself), std::move(type)};
}

std::string read_text(const Handle& attribute, const Handle& type, const std::filesystem::path& path,
                      const std::string& name) {
  const std::string what = fmt::format("cannot read attribute {}", name);
  if (H5Tis_variable_str(type.get()) > 0) {
    char* text = nullptr;
    if (H5Aread(attribute.get(), type.get(), static_cast<void*>(&text)) < 0) fail(path, what);
    std::string result = text == nullptr ? "" : text;
    H5free_memory(text);
    return result;
  }
  std::string text(H5Tget_size(type.get()), '\0');
  if (H5Aread(attribute.get(), type.get(), text.data()) < 0) fail(path, what);
  return text.substr(0, text.find('\0'));
}

}  // namespace

std::int64_t Hdf5Dataset::numel() const {
  std::int64_t n = 1;
  for (const std::int64_t dim : shape) n *= dim;
  return n;
}

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path, int depth)
    : file_(std::make_unique<hdf5::OpenFile>(path)), depth_(depth) {}

Hdf5Reader::~Hdf5Reader() = default;
Hdf5Reader::Hdf5Reader(Hdf5Reader&& other) noexcept = default;

const std::filesystem::path& Hdf5Reader::path() const {
  return file_->path();
}

std::optional<Hdf5Dataset> Hdf5Reader::dataset(const std::string& name) const {
  const Session session;
  const hid_t file = file_->get();
  if (H5Lexists(file, name.c_str(), H5P_DEFAULT) <= 0) return std::nullopt;
  const Dataset dataset(file, name, path());
  const Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (!type.valid()) fail(path(), fmt::format("cannot describe dataset /{}", name));
  const std::vector<hsize_t> extents = dataset.extents();
  Hdf5Dataset result{.shape = {extents.begin(), extents.end()}};
  result.is_integer = H5Tget_class(type.get()) == H5T_INTEGER;
  result.is_signed = result.is_integer && H5Tget_sign(type.get()) == H5T_SGN_2;
  result.element_size = static_cast<std::int64_t>(H5Tget_size(type.get()));
  if (dataset.layout() != H5D_VIRTUAL)
    result.stored_bytes = static_cast<std::int64_t>(H5Dget_storage_size(dataset.get()));
  if (result.is_integer && is_plain_little_endian(type.get()))
    result.file_offset = contiguous_offset(dataset);
  return result;
}

Hdf5Place Hdf5Reader::require_stored(const std::string& name) {
  const Session session;
  const Dataset dataset(file_->get(), name, path());
  if (!dataset.in_this_file()) hdf5::require_no_writer(dataset.owner());
  require_elements(dataset);
  const bool is_virtual = dataset.layout() == H5D_VIRTUAL;
  if (is_virtual) virtual_[name] = std::make_unique<hdf5::VirtualRow>(dataset, depth_);
  const bool raw = H5Pget_external_count(dataset.creation()) > 0;
  return is_virtual || raw || !dataset.in_this_file() ? Hdf5Place::other_files : Hdf5Place::this_file;
}

void Hdf5Reader::read(const std::string& name, std::int64_t begin, std::span<std::int64_t> out) const {
  if (out.empty()) return;
  const Session session;
  if (const auto row = virtual_.find(name); row != virtual_.end()) return row->second->read(begin, out);
  const Dataset dataset(file_->get(), name, path());
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const auto start = static_cast<hsize_t>(begin);
  const hsize_t count = out.size();
  const Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
  if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) < 0 ||
      H5Dread(dataset.get(), H5T_NATIVE_INT64, memory.get(), space.get(), H5P_DEFAULT, out.data()) < 0) {
    const std::string reason = hdf5::last_error();
    require_filters(dataset, hdf5::Filters::optional);
    user_error(fmt::format("cannot read dataset /{}: {}", name, reason), path().string(), kAdvice);
  }
}

std::optional<std::string> Hdf5Reader::text_attribute(const std::string& name) const {
  const Session session;
  const auto attribute = open_attribute(file_->get(), name, H5T_STRING, path());
  if (!attribute) return std::nullopt;
  return read_text(attribute->itself, attribute->type, path(), name);
}

std::optional<std::int64_t> Hdf5Reader::integer_attribute(const std::string& name) const {
  const Session session;
  const auto attribute = open_attribute(file_->get(), name, H5T_INTEGER, path());
  if (!attribute) return std::nullopt;
  std::int64_t value = 0;
  if (H5Aread(attribute->itself.get(), H5T_NATIVE_INT64, &value) < 0) {
    fail(path(), fmt::format("cannot read attribute {}", name));
  }
  return value;
}

}  // namespace granule
