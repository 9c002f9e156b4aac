// How this project treats files: inputs are regular files, and outputs appear whole or not at all.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "data/files/atomic_file.hpp"

namespace granule {

/// Throws a user error unless `path` is an existing regular file. A FIFO would block, and a directory would
/// read as empty.
void require_regular_file(const std::filesystem::path& path);
/// The same, and returns how many bytes the file has.
[[nodiscard]] std::int64_t size_of_regular_file(const std::filesystem::path& path);

/// The whole file. Throws a user error if it cannot be read or is longer than `limit` bytes.
[[nodiscard]] std::string read_file(const std::filesystem::path& path,
                                    std::int64_t limit = std::int64_t{1} << 40);

void sync_file(const std::filesystem::path& path);  ///< fsync, of a file or a directory
/// Renames `from` to `to`, on the same file system, and syncs the directory.
void publish_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// A file that is read in pieces, in any order. Unlike mapped pages, nothing of it counts as memory.
class PieceReader {
 public:
  /// Throws a user error if the file cannot be read.
  explicit PieceReader(const std::filesystem::path& path);
  ~PieceReader();
  PieceReader(const PieceReader&) = delete;
  PieceReader& operator=(const PieceReader&) = delete;

  [[nodiscard]] std::int64_t size() const { return size_; }
  /// Bytes [begin, begin + out.size()). Throws a user error if the file has become shorter.
  void read(std::int64_t begin, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  std::int64_t size_;
  int fd_;
};

/// A whole file mapped for reading. The file must not shrink while it is mapped.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace granule
