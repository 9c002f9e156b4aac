// Files that appear whole or not at all. They are written under another name, synced and renamed into their
// place, and the directory is synced.
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

/// What was written. It is known from memory and not read back.
struct WrittenFile {
  std::string name;  ///< without the directory
  std::int64_t size = 0;
  std::string xxh3;
};

/// A file under construction as `<path>.part-<random>`. Without commit() nothing of it remains. Every failure
/// throws io_error with the path and the cause, and after it the object can only be destroyed. A failed fsync
/// may have dropped the data that it could not write, so it is never repeated.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path, Disk& disk = Disk::system());
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Replaces what is at the path, if anything. Call it once.
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
/// Throws a user error if `from` cannot be read.
WrittenFile copy_durably(const std::filesystem::path& from, const std::filesystem::path& to,
                         Disk& disk = Disk::system());
/// Whether an AtomicFile uses such a name before commit. If nobody is writing, it is a leftover.
[[nodiscard]] bool is_unfinished(std::string_view name);

}  // namespace granule
