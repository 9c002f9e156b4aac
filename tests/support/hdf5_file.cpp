#include "tests/support/hdf5_file.hpp"

#include <hdf5.h>

#include "core/error.hpp"

namespace granule::test {
namespace {

void require(herr_t status) {
  GRANULE_CHECK(status >= 0, "HDF5 failed in a test: {}", status);
}

hid_t creation_of(const Hdf5File::Storage& storage, std::size_t size) {
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  if (storage.chunk > 0) {
    const auto chunk = static_cast<hsize_t>(storage.chunk);
    require(H5Pset_chunk(creation, 1, &chunk));
  }
  if (storage.compact) require(H5Pset_layout(creation, H5D_COMPACT));
  if (storage.filter != 0)
    require(H5Pset_filter(creation, static_cast<H5Z_filter_t>(storage.filter),
                          storage.optional_filter ? H5Z_FLAG_OPTIONAL : 0, 0, nullptr));
  for (const std::string& raw : storage.raw)
    require(H5Pset_external(creation, raw.c_str(), 0, 2 * size / storage.raw.size()));
  return creation;
}

}  // namespace

Hdf5File::Hdf5File(const std::filesystem::path& path, Version version) {
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (version == Version::latest) require(H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST));
  file_ = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  GRANULE_CHECK(file_ >= 0, "cannot create {}", path.string());
  H5Pclose(access);
}

Hdf5File::~Hdf5File() {
  H5Fclose(file_);
}

void Hdf5File::dataset(const std::string& name, const std::vector<std::uint16_t>& values,
                       const Storage& storage) const {
  const hsize_t size = values.size(), endless = H5S_UNLIMITED, start = 0;
  const hid_t space = H5Screate_simple(1, &size, storage.extendible ? &endless : nullptr);
  const hid_t creation = creation_of(storage, values.size());
  const hid_t set = H5Dcreate2(file_, name.c_str(), H5T_STD_U16LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  GRANULE_CHECK(set >= 0, "cannot create dataset {}", name);
  const hsize_t written = storage.written < 0 ? size : static_cast<hsize_t>(storage.written);
  if (written > 0) {
    const hid_t memory = H5Screate_simple(1, &written, nullptr);
    require(H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &written, nullptr));
    require(H5Dwrite(set, H5T_NATIVE_UINT16, memory, space, H5P_DEFAULT, values.data()));
    H5Sclose(memory);
  }
  H5Dclose(set);
  H5Pclose(creation);
  H5Sclose(space);
}

void Hdf5File::virtual_dataset(const std::string& name, std::int64_t size,
                               const std::vector<Mapping>& mappings) const {
  const auto extent = static_cast<hsize_t>(size);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  const hid_t space = H5Screate_simple(1, &extent, nullptr);
  for (const Mapping& mapping : mappings) {
    const auto begin = static_cast<hsize_t>(mapping.begin), count = static_cast<hsize_t>(mapping.size);
    const auto source_begin = static_cast<hsize_t>(mapping.source_begin);
    const hsize_t source_extent = source_begin + count;
    const hid_t source = H5Screate_simple(1, &source_extent, nullptr);
    require(H5Sselect_hyperslab(space, H5S_SELECT_SET, &begin, nullptr, &count, nullptr));
    require(H5Sselect_hyperslab(source, H5S_SELECT_SET, &source_begin, nullptr, &count, nullptr));
    if (mapping.whole) require(H5Sselect_all(source));
    require(H5Pset_virtual(creation, space, mapping.file.c_str(), mapping.dataset.c_str(), source));
    H5Sclose(source);
  }
  require(H5Sselect_all(space));
  const hid_t set = H5Dcreate2(file_, name.c_str(), H5T_STD_U16LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  require(static_cast<herr_t>(set < 0 ? -1 : 0));
  H5Dclose(set);
  H5Sclose(space);
  H5Pclose(creation);
}

void Hdf5File::group(const std::string& name) const {
  const hid_t group = H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Gclose(group);
}

void Hdf5File::soft_link(const std::string& name, const std::string& target) const {
  require(H5Lcreate_soft(target.c_str(), file_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT));
}

void Hdf5File::external_link(const std::string& name, const std::string& file,
                             const std::string& target) const {
  require(H5Lcreate_external(file.c_str(), target.c_str(), file_, name.c_str(), H5P_DEFAULT, H5P_DEFAULT));
}

void Hdf5File::flush() const {
  require(H5Fflush(file_, H5F_SCOPE_GLOBAL));
}

}  // namespace granule::test
