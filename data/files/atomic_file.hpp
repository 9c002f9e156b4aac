// Files that appear whole or not at all: written beside their place, synced, renamed into it, and the
// directory synced.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "data/files/digest.hpp"
#include "data/files/disk.hpp"

namespace granule {

/// What was written, known from memory and not read back.
struct WrittenFile {
  std::string name;  ///< without its directory
  std::int64_t size = 0;
  std::string xxh3;
};

/// A file under construction as `<path>.part-<random>`. Without commit() nothing of it remains.
/// Every failure throws io_error with the path and the cause; after one, only destruction makes sense: a
/// failed fsync may have dropped the data it could not write, so it is never repeated.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path, Disk& disk = Disk::system());
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Replaces what is at the path, if anything. Called once.
  WrittenFile commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path part_;
  Disk* disk_;
  int fd_ = -1;
  std::int64_t size_ = 0;
  Xxh3 digest_;
};

WrittenFile write_file(const std::filesystem::path& path, std::string_view text, Disk& disk = Disk::system());
/// Throws a user error when `from` cannot be read.
WrittenFile copy_durably(const std::filesystem::path& from, const std::filesystem::path& to,
                         Disk& disk = Disk::system());
/// True of a name that an AtomicFile uses before commit: a leftover when nobody is writing.
[[nodiscard]] bool is_unfinished(std::string_view name);

}  // namespace granule
