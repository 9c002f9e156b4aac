// A small part of HDF5 behind RAII: read datasets and attributes; write a file that appears whole or not at
// all. Every return code is checked and HDF5's error stack becomes our message. Not a general HDF5 wrapper.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.hpp"

namespace granule {

/// What one dataset holds.
struct Hdf5Dataset {
  std::vector<std::int64_t> shape;
  bool is_integer = false;
  bool is_signed = false;
  std::int64_t element_size = 0;  ///< bytes
  std::int64_t stored_bytes = 0;  ///< in the file, after filters
  /// Byte offset in the file of plain little-endian integers, so that they can be mapped; absent when the
  /// dataset is chunked, compact, external, padded or big-endian.
  std::optional<std::int64_t> file_offset;

  [[nodiscard]] std::int64_t numel() const;
};

/// One HDF5 file opened for reading. Not for simultaneous use by several threads; several readers are fine.
class Hdf5Reader {
 public:
  /// Throws a user error for anything that is not a readable, regular HDF5 file.
  explicit Hdf5Reader(const std::filesystem::path& path);
  ~Hdf5Reader();
  Hdf5Reader(Hdf5Reader&& other) noexcept;
  Hdf5Reader& operator=(Hdf5Reader&&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Absent when there is no dataset of this name in the root group.
  [[nodiscard]] std::optional<Hdf5Dataset> dataset(const std::string& name) const;
  /// Elements [begin, begin + out.size()) of a rank-1 integer dataset.
  void read(const std::string& name, std::int64_t begin, std::span<std::int64_t> out) const;
  /// Root attributes; absent when not there, a user error when of another kind.
  [[nodiscard]] std::optional<std::string> text_attribute(const std::string& name) const;
  [[nodiscard]] std::optional<std::int64_t> integer_attribute(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::int64_t file_ = -1;
};

enum class Hdf5Layout : std::uint8_t {
  contiguous,
  compressed,  ///< chunks of 16 Ki elements: shuffle, gzip 4, Fletcher checksums
};

/// Writes PATH as PATH.tmp and renames it when complete. The first failure is thrown as an I/O error (74) and
/// nothing is left under either name.
class Hdf5Writer {
 public:
  /// PATH.tmp must not exist.
  explicit Hdf5Writer(const std::filesystem::path& path);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// A rank-1 dataset in the root group, stored little-endian as `stored` (u8, u16 or u32); the caller sees
  /// to it that the values fit.
  void dataset(const std::string& name, DType stored, std::span<const std::uint32_t> values,
               Hdf5Layout layout);
  /// The same, stored as 64-bit unsigned.
  void dataset(const std::string& name, std::span<const std::uint64_t> values);
  void attribute(const std::string& name, std::string_view text);  ///< variable-length UTF-8
  void attribute(const std::string& name, std::int64_t value);
  /// Closes, reopens and compares the datasets' sizes, syncs, renames, syncs the directory.
  void publish();

 private:
  void write(const std::string& name, std::int64_t file_type, std::int64_t memory_type, std::size_t size,
             const void* values, Hdf5Layout layout);
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
