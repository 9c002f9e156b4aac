// Writes an HDF5 file that appears whole or not at all. It is not a general HDF5 wrapper: it writes rows of
// numbers, and attributes of the root.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace granule {

enum class Hdf5Layout : std::uint8_t {
  contiguous,
  compressed,  ///< chunks of 16 Ki elements: shuffle, gzip 4, Fletcher checksums
};

/// Writes PATH as PATH.tmp and renames it when it is complete. The first failure is thrown as an I/O error
/// (74), and nothing is left under either name.
class Hdf5Writer {
 public:
  /// PATH.tmp must not exist.
  explicit Hdf5Writer(const std::filesystem::path& path);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// Writes the next values.
  using Append = std::function<void(std::span<const std::uint32_t>)>;
  /// A rank-1 dataset in the root group, stored little-endian as `stored` (u8, u16 or u32). The caller must
  /// make sure that the values fit. `fill` appends all `size` values, in parts.
  void dataset(const std::string& name, DType stored, std::int64_t size, Hdf5Layout layout,
               const std::function<void(const Append&)>& fill);
  /// The same for values that are in memory.
  void dataset(const std::string& name, DType stored, std::span<const std::uint32_t> values,
               Hdf5Layout layout);
  /// The same, stored as 64-bit unsigned.
  void dataset(const std::string& name, std::span<const std::uint64_t> values);
  void attribute(const std::string& name, std::string_view text);  ///< variable-length UTF-8
  void attribute(const std::string& name, std::int64_t value);
  /// Closes the file, reopens it and compares the datasets' sizes. Then it syncs, renames, and syncs the
  /// directory.
  void publish();

 private:
  /// Returns the identifier of a new dataset.
  [[nodiscard]] std::int64_t create(const std::string& name, std::int64_t file_type, std::int64_t size,
                                    Hdf5Layout layout);
  void verify() const;

  struct Written {
    std::string name;
    std::int64_t numel = 0;
    std::int64_t element_size = 0;
  };
  std::filesystem::path path_, temporary_;
  std::int64_t file_ = -1;
  std::vector<Written> written_;
};

}  // namespace granule
