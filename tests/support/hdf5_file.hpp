// HDF5 files as other software may write them: made of other files, or not written whole.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace granule::test {

/// How a dataset of uint16 is stored. What is not written is left as HDF5 leaves it.
struct Hdf5Storage {
  std::int64_t chunk = 0;     ///< 0: contiguous
  std::int64_t written = -1;  ///< so many of the values, from the first on; -1: all
  bool extendible = false;
  bool compact = false;
  std::int64_t filter = 0;  ///< number of a filter, beside chunks; 0: none
  bool optional_filter = false;
  std::vector<std::string> raw{};  ///< external files, each for as many values as fit evenly
};

/// Elements [begin, begin + size) of a virtual dataset come from `source_begin` on of a dataset elsewhere.
struct Hdf5Mapping {
  std::int64_t begin = 0, size = 0;
  std::string file, dataset = "data";
  std::int64_t source_begin = 0;
  bool whole = false;  ///< the source is selected as a whole, as h5py does
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
