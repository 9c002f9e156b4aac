// The system calls that change what is on a disk, in one class so that a test can make each of them fail. The
// functions below check these calls and throw io_error (exit code 74) with the path and the cause.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string_view>

#include <sys/statvfs.h>
#include <sys/types.h>

namespace granule {

/// Every call behaves as the one of the same name in section 2 of the manual: -1 and errno on failure.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual int create(const char* path);  ///< open for writing; the file must not exist
  virtual int open_directory(const char* path);
  virtual ssize_t write(int fd, const void* data, std::size_t size);
  virtual int fsync(int fd);
  virtual int close(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int mkdir(const char* path);
  virtual int unlink(const char* path);
  virtual int rmdir(const char* path);
  virtual int flock(int fd, int operation);
  virtual int statvfs(const char* path, struct ::statvfs* status);

  [[nodiscard]] static Disk& system();
};

/// The directory a path is in, "." for a bare name.
[[nodiscard]] std::filesystem::path parent_of(const std::filesystem::path& path);
/// Makes the entries of a directory durable, if the file system can do that.
void sync_directory(const std::filesystem::path& directory, Disk& disk);
/// Renames within one file system and makes that durable. A directory may replace an empty one and nothing
/// else.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to, Disk& disk);
/// The parent of the directory must exist.
void make_directory(const std::filesystem::path& directory, Disk& disk);
/// Removes `first`, an entry of `tree`, before all others. Symbolic links are removed, not followed.
/// Everything that can be removed is, before the first failure is thrown.
void remove_tree(const std::filesystem::path& tree, const std::filesystem::path& first, Disk& disk);
/// The same for clean-up after a failure that is already being reported. Its own failures are ignored.
void try_remove_tree(const std::filesystem::path& tree, Disk& disk) noexcept;

/// What a user can do about an errno of a write.
[[nodiscard]] std::string_view advice_for(int error);
/// Throws io_error for the current errno: "cannot <action>: <cause> (<path>): <advice>".
[[noreturn]] void throw_errno(std::string_view action, const std::filesystem::path& path);
/// Throws a user error for the current errno: "cannot read the file: <cause> (<path>): <advice>".
[[noreturn]] void throw_unreadable(const std::filesystem::path& path);

}  // namespace granule
