#include "data/hdf5/hdf5_writer.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/hdf5/handle.hpp"
#include "data/hdf5/hdf5_reader.hpp"

namespace granule {
namespace {

using hdf5::Handle;
using hdf5::Session;

constexpr hsize_t kChunk = 16 * 1024;  // small enough for random windows, large enough for gzip
constexpr unsigned kGzipLevel = 4;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  io_error(fmt::format("{}: {}", what, hdf5::last_error()), path.string(),
           "check free space and permissions");
}

hid_t stored_type(DType type) {
  switch (type) {
    case DType::u8:
      return H5T_STD_U8LE;
    case DType::u16:
      return H5T_STD_U16LE;
    case DType::u32:
      return H5T_STD_U32LE;
    default:
      GRANULE_CHECK(false, "shards store u8, u16 or u32, not {}", name_of(type));
  }
  return -1;
}

bool set_filters(hid_t creation, hsize_t size) {
  const hsize_t chunk = std::min(kChunk, std::max<hsize_t>(size, 1));
  return H5Pset_chunk(creation, 1, &chunk) >= 0 && H5Pset_shuffle(creation) >= 0 &&
         H5Pset_deflate(creation, kGzipLevel) >= 0 && H5Pset_fletcher32(creation) >= 0;
}

std::string cannot_write(const std::string& name) {
  return fmt::format("cannot write dataset /{}", name);
}

// Without times, the same content gives the same file with the same digest.
bool is_timeless(const Handle& creation) {
  return creation.valid() && H5Pset_obj_track_times(creation.get(), false) >= 0;
}

}  // namespace

Hdf5Writer::Hdf5Writer(const std::filesystem::path& path) : path_(path), temporary_(path.string() + ".tmp") {
  std::error_code error;
  if (std::filesystem::exists(path, error))
    user_error("the file already exists", path.string(), "choose another name");
  const Session session;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose), creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  // It takes no lock, because not every file system has them, and only this job uses the name. The V18 format
  // has checksums of its metadata, so damage is refused and does not crash.
  if (!access.valid() || H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
      H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG) < 0 ||
      H5Pset_file_locking(access.get(), false, true) < 0 || !is_timeless(creation)) {
    fail(temporary_, "cannot set up HDF5");
  }
  file_ = H5Fcreate(temporary_.c_str(), H5F_ACC_EXCL, creation.get(), access.get());
  if (file_ < 0) fail(temporary_, "cannot create the file");
}

Hdf5Writer::~Hdf5Writer() {
  if (!temporary_.empty()) {
    std::error_code ignored;
    if (file_ >= 0) {
      const Session session;
      H5Fclose(file_);
    }
    std::filesystem::remove(temporary_, ignored);
  }
}

std::int64_t Hdf5Writer::create(const std::string& name, std::int64_t file_type, std::int64_t size,
                                Hdf5Layout layout) {
  const std::string what = cannot_write(name);
  const auto count = static_cast<hsize_t>(size);
  Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (!space.valid() || !is_timeless(creation)) fail(temporary_, what);
  if (layout == Hdf5Layout::compressed && !set_filters(creation.get(), count)) fail(temporary_, what);
  const hid_t dataset =
      H5Dcreate2(file_, name.c_str(), file_type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT);
  if (dataset < 0) fail(temporary_, what);
  if (creation.close() < 0 || space.close() < 0) fail(temporary_, what);
  return dataset;
}

void Hdf5Writer::dataset(const std::string& name, DType stored, std::int64_t size, Hdf5Layout layout,
                         const std::function<void(const Append&)>& fill) {
  const Session session;
  Handle dataset(create(name, stored_type(stored), size, layout), H5Dclose);
  hsize_t done = 0;
  fill([&](std::span<const std::uint32_t> values) {
    if (values.empty()) return;
    const hsize_t count = values.size();
    const Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Handle space(H5Dget_space(dataset.get()), H5Sclose);
    if (H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &done, nullptr, &count, nullptr) < 0 ||
        H5Dwrite(dataset.get(), H5T_NATIVE_UINT32, memory.get(), space.get(), H5P_DEFAULT, values.data()) <
            0) {
      fail(temporary_, cannot_write(name));
    }
    done += count;
  });
  GRANULE_CHECK(static_cast<std::int64_t>(done) == size, "dataset /{}: {} values of {}", name, done, size);
  // With chunks, the first failed write may show only here.
  if (dataset.close() < 0) fail(temporary_, cannot_write(name));
  written_.push_back({name, size, size_of(stored)});
}

void Hdf5Writer::dataset(const std::string& name, DType stored, std::span<const std::uint32_t> values,
                         Hdf5Layout layout) {
  dataset(name, stored, std::ssize(values), layout, [&](const Append& append) { append(values); });
}

void Hdf5Writer::dataset(const std::string& name, std::span<const std::uint64_t> values) {
  const Session session;
  Handle dataset(create(name, H5T_STD_U64LE, std::ssize(values), Hdf5Layout::contiguous), H5Dclose);
  const bool written = values.empty() || H5Dwrite(dataset.get(), H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL,
                                                  H5P_DEFAULT, values.data()) >= 0;
  if (!written || dataset.close() < 0) fail(temporary_, cannot_write(name));
  written_.push_back({name, std::ssize(values), 8});
}

void Hdf5Writer::attribute(const std::string& name, std::string_view text) {
  const Session session;
  const std::string what = fmt::format("cannot write attribute {}", name);
  const std::string owned(text);
  const char* const pointer = owned.c_str();
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  if (!type.valid() || !space.valid() || H5Tset_size(type.get(), H5T_VARIABLE) < 0 ||
      H5Tset_cset(type.get(), H5T_CSET_UTF8) < 0) {
    fail(temporary_, what);
  }
  Handle attribute(H5Acreate2(file_, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.get(), type.get(), static_cast<const void*>(&pointer)) < 0 ||
      attribute.close() < 0) {
    fail(temporary_, what);
  }
}

void Hdf5Writer::attribute(const std::string& name, std::int64_t value) {
  const Session session;
  const std::string what = fmt::format("cannot write attribute {}", name);
  Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  if (!space.valid()) fail(temporary_, what);
  Handle attribute(H5Acreate2(file_, name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value) < 0 ||
      attribute.close() < 0) {
    fail(temporary_, what);
  }
}

void Hdf5Writer::verify() const {
  const Hdf5Reader reader(temporary_);
  for (const Written& expected : written_) {
    const auto found = reader.dataset(expected.name);
    if (!found || found->numel() != expected.numel || found->element_size != expected.element_size) {
      io_error(fmt::format("dataset /{} did not reach the disk", expected.name), temporary_.string(),
               "check free space");
    }
  }
}

void Hdf5Writer::publish() {
  {
    const Session session;
    if (H5Fclose(std::exchange(file_, -1)) < 0) fail(temporary_, "cannot close the file");
  }
  verify();
  sync_file(temporary_);
  publish_file(temporary_, path_);
  temporary_.clear();
}

}  // namespace granule
