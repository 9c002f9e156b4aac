#include "data/hdf5/dataset_storage.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "data/hdf5/open_file.hpp"

namespace granule::hdf5 {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIncomplete = "the program that wrote it did not finish; write the file again";

unsigned long file_number(hid_t object) {
  H5O_info_t info{};
#if H5_VERSION_GE(1, 12, 0)
  return H5Oget_info3(object, &info, H5O_INFO_BASIC) < 0 ? 0 : info.fileno;
#else
  return H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0 ? 0 : info.fileno;
#endif
}

bool is_group(hid_t file, const std::string& name) {
  const Handle group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose);
  return group.valid();
}

[[noreturn]] void cannot_open(hid_t file, const std::string& name, const fs::path& path) {
  const std::string reason = last_error();
  H5L_info_t link{};
  const bool hard = H5Lget_info(file, name.c_str(), &link, H5P_DEFAULT) < 0 || link.type == H5L_TYPE_HARD;
  if (hard && is_group(file, name)) {
    user_error(fmt::format("/{} is a group, not a dataset", name), path.string(),
               fmt::format("write the tokens into one dataset that is named /{}", name));
  }
  if (hard) {
    user_error(fmt::format("cannot open dataset /{}: {}", name, reason), path.string(),
               "the file is damaged or was written by something else; build it again");
  }
  user_error(fmt::format("cannot open dataset /{}: it is a link that leads to none", name), path.string(),
             link.type == H5L_TYPE_EXTERNAL ? "put the file that it leads to back in its place"
                                            : "write the dataset that it leads to, or the link, again");
}

/// One file of external storage, which has raw bytes.
struct RawFile {
  fs::path path;
  std::uint64_t offset = 0, size = 0;  // where the dataset's bytes are in it
};

std::vector<RawFile> raw_files(hid_t creation, const fs::path& prefix) {
  std::vector<RawFile> files;
  const int count = H5Pget_external_count(creation);
  for (int i = 0; i < count; ++i) {
    std::array<char, 4096> name{};
    off_t offset = 0;
    hsize_t size = 0;
    H5Pget_external(creation, static_cast<unsigned>(i), name.size() - 1, name.data(), &offset, &size);
    files.push_back({prefix / name.data(), static_cast<std::uint64_t>(offset), size});
  }
  return files;
}

/// The folder in which HDF5 looks for raw files with relative names. Empty means the working directory.
fs::path raw_prefix_of(hid_t dataset) {
  const Handle access(H5Dget_access_plist(dataset), H5Pclose);
  std::array<char, 4096> prefix{};
  H5Pget_efile_prefix(access.get(), prefix.data(), prefix.size() - 1);
  return prefix.data();
}

/// By default HDF5 looks for raw files in the working directory. Here they may also be in the folder of the
/// file.
hid_t open_beside_raw_files(hid_t file, const std::string& name, const fs::path& path) {
  const Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose), linked(reading_without_locks(), H5Pclose);
  H5Pset_elink_fapl(access.get(), linked.get());
  const hid_t opened = H5Dopen2(file, name.c_str(), access.get());
  if (opened < 0) return opened;
  const Handle creation(H5Dget_create_plist(opened), H5Pclose);
  const auto exist = [&](const fs::path& folder) {
    return std::ranges::all_of(raw_files(creation.get(), folder), [](const RawFile& raw) {
      std::error_code error;
      return fs::exists(raw.path, error);
    });
  };
  if (H5Pget_external_count(creation.get()) <= 0 || exist(raw_prefix_of(opened)) ||
      !exist(path.parent_path()))
    return opened;
  H5Pset_efile_prefix(access.get(), "${ORIGIN}");
  H5Dclose(opened);
  return H5Dopen2(file, name.c_str(), access.get());
}

void require_chunks(const Dataset& dataset) {
  const std::vector<hsize_t> extents = dataset.extents();
  std::vector<hsize_t> chunk(extents.size());
  H5Pget_chunk(dataset.creation(), static_cast<int>(chunk.size()), chunk.data());
  hsize_t needed = 1, stored = 0;
  for (std::size_t i = 0; i < chunk.size(); ++i) needed *= (extents[i] + chunk[i] - 1) / chunk[i];
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  if (H5Dget_num_chunks(dataset.get(), space.get(), &stored) < 0) {
    user_error(fmt::format("cannot count the chunks of {}: {}", dataset.label(), last_error()),
               dataset.where(), "the file is damaged; build it again");
  }
  if (stored >= needed) return;
  user_error(fmt::format("{} is incomplete: {} of its {} chunks were never written", dataset.label(),
                         needed - stored, needed),
             dataset.where(), kIncomplete);
}

void require_raw_files(const Dataset& dataset) {
  auto left = static_cast<std::uint64_t>(dataset.numel() * dataset.element_size());
  for (const RawFile& raw : raw_files(dataset.creation(), raw_prefix_of(dataset.get()))) {
    const std::uint64_t wanted = std::min(left, raw.size);
    left -= wanted;
    std::error_code error;
    const std::uintmax_t size = fs::is_regular_file(raw.path, error) ? fs::file_size(raw.path, error) : 0;
    if (wanted == 0 || (!error && size >= raw.offset + wanted)) continue;
    const std::string lacks = error || size == 0 ? "is missing or empty" : "is cut short";
    user_error(
        fmt::format("{} is incomplete: its external file {} {}", dataset.label(), raw.path.string(), lacks),
        dataset.where(), "put the whole external file back in its place");
  }
}

void require_contiguous(const Dataset& dataset) {
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF) {
    user_error(fmt::format("{} is incomplete: nothing was ever written to it", dataset.label()),
               dataset.where(), kIncomplete);
  }
  std::error_code error;
  const std::uintmax_t size = fs::file_size(dataset.owner(), error);
  const auto bytes = static_cast<std::uint64_t>(dataset.numel() * dataset.element_size());
  if (error || offset > size || bytes > size - offset) {
    user_error(fmt::format("the file is shorter than {} says", dataset.label()), dataset.where(),
               "the file is cut short; get it or build it again");
  }
}

}  // namespace

Dataset::Dataset(hid_t file, const std::string& name, const fs::path& path)
    : name_(name),
      path_(path),
      dataset_(open_beside_raw_files(file, name, path), H5Dclose),
      creation_(dataset_.valid() ? H5Dget_create_plist(dataset_.get()) : -1, H5Pclose) {
  if (!dataset_.valid() || !creation_.valid()) cannot_open(file, name, path);
  in_this_file_ = file_number(dataset_.get()) == file_number(file);
}

fs::path Dataset::owner() const {
  std::array<char, 4096> name{};
  H5Fget_name(get(), name.data(), name.size() - 1);
  return name.data();
}

std::vector<hsize_t> Dataset::extents() const {
  const Handle space(H5Dget_space(get()), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  std::vector<hsize_t> extents(static_cast<std::size_t>(std::max(rank, 0)));
  H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr);
  return extents;
}

std::int64_t Dataset::numel() const {
  hsize_t numel = 1;
  for (const hsize_t extent : extents()) numel *= extent;
  return static_cast<std::int64_t>(numel);
}

std::int64_t Dataset::element_size() const {
  const Handle type(H5Dget_type(get()), H5Tclose);
  return static_cast<std::int64_t>(H5Tget_size(type.get()));
}

std::optional<std::int64_t> contiguous_offset(const Dataset& dataset) {
  if (dataset.layout() != H5D_CONTIGUOUS || !dataset.in_this_file()) return std::nullopt;
  if (H5Pget_external_count(dataset.creation()) != 0) return std::nullopt;
  const haddr_t offset = H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF) return std::nullopt;
  return static_cast<std::int64_t>(offset);
}

void require_filters(const Dataset& dataset, Filters which) {
  const int count = H5Pget_nfilters(dataset.creation());
  for (int i = 0; i < count; ++i) {
    std::array<char, 64> name{};
    unsigned flags = 0, configuration = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(dataset.creation(), static_cast<unsigned>(i), &flags, &values,
                                               nullptr, name.size() - 1, name.data(), &configuration);
    const bool optional = (flags & H5Z_FLAG_OPTIONAL) != 0;
    if (H5Zfilter_avail(filter) > 0 || (optional && which == Filters::required)) continue;
    const std::string named = name[0] == '\0' ? "" : fmt::format(" ({})", name.data());
    user_error(
        fmt::format("{} is compressed with filter {}{}, which HDF5 does not have on this machine",
                    dataset.label(), filter, named),
        dataset.where(),
        "install its plugin and set HDF5_PLUGIN_PATH, or store the file with gzip (h5repack -f GZIP=4)");
  }
}

void require_elements(const Dataset& dataset) {
  require_filters(dataset, Filters::required);
  if (dataset.numel() == 0) return;
  if (dataset.layout() == H5D_CHUNKED) return require_chunks(dataset);
  if (dataset.layout() != H5D_CONTIGUOUS) return;  // compact data are part of the header
  if (H5Pget_external_count(dataset.creation()) > 0) return require_raw_files(dataset);
  require_contiguous(dataset);
}

}  // namespace granule::hdf5
