// The small part of HDF5 that shards need: datasets of one row of integers, and attributes of the root. Every
// return code is checked, and HDF5's error stack becomes our message. It is not a general HDF5 wrapper.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace granule {

namespace hdf5 {
class OpenFile;
class VirtualRow;
}  // namespace hdf5

/// What one dataset contains.
struct Hdf5Dataset {
  std::vector<std::int64_t> shape;
  bool is_integer = false;
  bool is_signed = false;
  std::int64_t element_size = 0;  ///< in bytes
  std::int64_t stored_bytes = 0;  ///< after filters; 0 for a virtual dataset, which stores nothing itself
  /// Byte offset in this file if the dataset is plain little-endian integers, so that it can be mapped.
  /// Absent if it is chunked, compact, padded or big-endian, or if it is in another file.
  std::optional<std::int64_t> file_offset;

  [[nodiscard]] std::int64_t numel() const;
};

/// Where the elements of a dataset are. Links, virtual datasets and external storage lead to other files,
/// which a digest of this one does not cover.
enum class Hdf5Place : std::uint8_t { this_file, other_files };

/// One HDF5 file for reading. It takes no lock. There may be more readers than a process may have open files.
/// Those not used for a while are closed, and opened again when they are read. Several threads may use one.
class Hdf5Reader {
 public:
  /// Throws a user error for anything that is not a readable, regular HDF5 file, and for one that another
  /// program has open for writing. `depth` says of how many nested virtual datasets this file is a source.
  explicit Hdf5Reader(const std::filesystem::path& path, int depth = 0);
  ~Hdf5Reader();
  Hdf5Reader(Hdf5Reader&& other) noexcept;
  Hdf5Reader& operator=(Hdf5Reader&&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const;
  /// Absent if there is no dataset of this name in the root group.
  [[nodiscard]] std::optional<Hdf5Dataset> dataset(const std::string& name) const;
  /// Throws a user error unless all of a rank-1 dataset is stored. HDF5 itself reads zeros without an error
  /// if chunks were never written, external files end early, or sources of virtual datasets are missing. Call
  /// it before read().
  Hdf5Place require_stored(const std::string& name);
  /// Elements [begin, begin + out.size()) of a rank-1 integer dataset.
  void read(const std::string& name, std::int64_t begin, std::span<std::int64_t> out) const;
  /// Attributes of the root. Absent if they are not there, and a user error if they are of another kind.
  [[nodiscard]] std::optional<std::string> text_attribute(const std::string& name) const;
  [[nodiscard]] std::optional<std::int64_t> integer_attribute(const std::string& name) const;

 private:
  std::unique_ptr<hdf5::OpenFile> file_;
  int depth_;
  std::map<std::string, std::unique_ptr<hdf5::VirtualRow>>
      virtual_;  // of the virtual datasets that were checked
};

}  // namespace granule
