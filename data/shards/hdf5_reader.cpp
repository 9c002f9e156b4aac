#include <utility>

#include "data/files/files.hpp"
#include "data/shards/hdf5.hpp"
#include "data/shards/hdf5_handle.hpp"

namespace granule {
namespace {

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

std::optional<std::int64_t> mappable_offset(hid_t dataset, hid_t type) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (!creation.valid() || H5Pget_layout(creation.get()) != H5D_CONTIGUOUS) return std::nullopt;
  if (H5Pget_external_count(creation.get()) != 0 || !is_plain_little_endian(type)) return std::nullopt;
  const haddr_t offset = H5Dget_offset(dataset);
  if (offset == HADDR_UNDEF) return std::nullopt;
  return static_cast<std::int64_t>(offset);
}

std::vector<std::int64_t> shape_of(hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank < 0 ? 0 : rank));
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  return {dims.begin(), dims.end()};
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

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path) : path_(path) {
  require_regular_file(path);
  const Session session;
  file_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file_ < 0) fail(path, "not a readable HDF5 file");
}

Hdf5Reader::~Hdf5Reader() {
  if (file_ < 0) return;
  const Session session;
  H5Fclose(file_);
}

Hdf5Reader::Hdf5Reader(Hdf5Reader&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}

std::optional<Hdf5Dataset> Hdf5Reader::dataset(const std::string& name) const {
  const Session session;
  if (H5Lexists(file_, name.c_str(), H5P_DEFAULT) <= 0) return std::nullopt;
  const Handle dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) fail(path_, fmt::format("cannot open dataset /{}", name));
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (!space.valid() || !type.valid()) fail(path_, fmt::format("cannot describe dataset /{}", name));
  Hdf5Dataset result;
  result.shape = shape_of(space.get());
  result.is_integer = H5Tget_class(type.get()) == H5T_INTEGER;
  result.is_signed = result.is_integer && H5Tget_sign(type.get()) == H5T_SGN_2;
  result.element_size = static_cast<std::int64_t>(H5Tget_size(type.get()));
  result.stored_bytes = static_cast<std::int64_t>(H5Dget_storage_size(dataset.get()));
  if (result.is_integer) result.file_offset = mappable_offset(dataset.get(), type.get());
  return result;
}

void Hdf5Reader::read(const std::string& name, std::int64_t begin, std::span<std::int64_t> out) const {
  if (out.empty()) return;
  const Session session;
  const std::string what = fmt::format("cannot read dataset /{}", name);
  const Handle dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (!dataset.valid()) fail(path_, what);
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  const auto start = static_cast<hsize_t>(begin);
  const hsize_t count = out.size();
  const Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
  if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr) < 0 ||
      H5Dread(dataset.get(), H5T_NATIVE_INT64, memory.get(), space.get(), H5P_DEFAULT, out.data()) < 0) {
    fail(path_, what);
  }
}

std::optional<std::string> Hdf5Reader::text_attribute(const std::string& name) const {
  const Session session;
  if (H5Aexists(file_, name.c_str()) <= 0) return std::nullopt;
  const Handle attribute(H5Aopen(file_, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const Handle space(H5Aget_space(attribute.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Sget_simple_extent_npoints(space.get()) != 1) {
    user_error(fmt::format("attribute {} is not one string", name), path_.string(), kAdvice);
  }
  return read_text(attribute, type, path_, name);
}

std::optional<std::int64_t> Hdf5Reader::integer_attribute(const std::string& name) const {
  const Session session;
  if (H5Aexists(file_, name.c_str()) <= 0) return std::nullopt;
  const Handle attribute(H5Aopen(file_, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const Handle space(H5Aget_space(attribute.get()), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_INTEGER || H5Sget_simple_extent_npoints(space.get()) != 1) {
    user_error(fmt::format("attribute {} is not one integer", name), path_.string(), kAdvice);
  }
  std::int64_t value = 0;
  if (H5Aread(attribute.get(), H5T_NATIVE_INT64, &value) < 0) {
    fail(path_, fmt::format("cannot read attribute {}", name));
  }
  return value;
}

}  // namespace granule
