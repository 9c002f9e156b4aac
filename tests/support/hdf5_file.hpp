// HDF5 files as other software may write them: composed of other files, or only partly written.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace granule::test {

/// How a dataset of uint16 is stored. Parts that are not written stay as HDF5 leaves them.
struct Hdf5Storage {
  std::int64_t chunk = 0;     ///< 0 means contiguous
  std::int64_t written = -1;  ///< how many values are written, from the first; -1 means all
  bool extendible = false;
  bool compact = false;
  std::int64_t filter = 0;  ///< number of a filter for chunks; 0 means none
  bool optional_filter = false;
  std::vector<std::string> raw{};  ///< external files, which have equal numbers of values
};

/// Elements [begin, begin + size) of a virtual dataset come from another dataset, from `source_begin` on.
struct Hdf5Mapping {
  std::int64_t begin = 0, size = 0;
  std::string file, dataset = "data";
  std::int64_t source_begin = 0;
  bool whole = false;  ///< the whole source is selected, as h5py does it
};

class Hdf5File {
 public:
  using Storage = Hdf5Storage;
  using Mapping = Hdf5Mapping;
  enum class Version { earliest, latest };

  explicit Hdf5File(const std::filesystem::path& path, Version version = Version::earliest);
  ~Hdf5File();
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;

  void dataset(const std::string& name, const std::vector<std::uint16_t>& values,
               const Storage& storage = {}) const;
  void virtual_dataset(const std::string& name, std::int64_t size,
                       const std::vector<Mapping>& mappings) const;
  void group(const std::string& name) const;
  void soft_link(const std::string& name, const std::string& target) const;
  void external_link(const std::string& name, const std::string& file, const std::string& target) const;
  void flush() const;

 private:
  std::int64_t file_;
};

}  // namespace granule::test
