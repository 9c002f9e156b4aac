#include "data/files/disk.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"

namespace granule {
namespace fs = std::filesystem;

int Disk::create(const char* path) {
  return ::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}
int Disk::open_directory(const char* path) {
  return ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}
ssize_t Disk::write(int fd, const void* data, std::size_t size) {
  return ::write(fd, data, size);
}
int Disk::fsync(int fd) {
  return ::fsync(fd);
}
int Disk::close(int fd) {
  return ::close(fd);
}
int Disk::rename(const char* from, const char* to) {
  return ::rename(from, to);
}
int Disk::mkdir(const char* path) {
  return ::mkdir(path, 0777);
}
int Disk::unlink(const char* path) {
  return ::unlink(path);
}
int Disk::rmdir(const char* path) {
  return ::rmdir(path);
}
int Disk::flock(int fd, int operation) {
  return ::flock(fd, operation);
}
int Disk::statvfs(const char* path, struct ::statvfs* status) {
  return ::statvfs(path, status);
}

Disk& Disk::system() {
  static Disk disk;  // holds no state
  return disk;
}

void throw_errno(std::string_view action, const fs::path& path) {
  const int error = errno;
  io_error(fmt::format("cannot {}: {}", action, std::strerror(error)), path.string(), advice_for(error));
}

std::string_view advice_for(int error) {
  if (error == EMFILE || error == ENFILE) return "raise the limit for open files (ulimit -n)";
  if (error == EFBIG) return "raise the limit for the size of a file (ulimit -f)";
  if (error == ENOSPC || error == EDQUOT) return "free some space";
  return "check the disk and its permissions";
}

void throw_unreadable(const fs::path& path) {
  const int error = errno;
  const bool limited = error == EMFILE || error == ENFILE;
  user_error(fmt::format("cannot read the file: {}", std::strerror(error)), path.string(),
             limited ? advice_for(error) : "check the path and its permissions");
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void sync_directory(const fs::path& directory, Disk& disk) {
  const int fd = disk.open_directory(directory.c_str());
  if (fd < 0) throw_errno("open the directory to make it durable", directory);
  int result = 0;
  do {
    result = disk.fsync(fd);
  } while (result != 0 && errno == EINTR);
  const int error = errno;
  // Some file systems cannot sync a directory, and answer with one of these errors.
  const bool failed = result != 0 && error != EINVAL && error != EBADF && error != EOPNOTSUPP;
  const bool closed = disk.close(fd) == 0 || errno == EINTR;
  if (failed) errno = error;
  if (failed || !closed) throw_errno("make the directory durable", directory);
}

void rename_durably(const fs::path& from, const fs::path& to, Disk& disk) {
  if (disk.rename(from.c_str(), to.c_str()) != 0)
    throw_errno(fmt::format("rename {} to it", from.string()), to);
  sync_directory(parent_of(to), disk);
}

void make_directory(const fs::path& directory, Disk& disk) {
  if (disk.mkdir(directory.c_str()) != 0) throw_errno("create the directory", directory);
  sync_directory(parent_of(directory), disk);
}

namespace {

/// Removes as much of a tree as possible, and keeps the first failure.
class Removal {
 public:
  explicit Removal(Disk& disk) : disk_(&disk) {}

  void file(const fs::path& path) { note(disk_->unlink(path.c_str()), "remove the file", path); }
  void tree(const fs::path& tree) {
    std::error_code error;
    for (fs::directory_iterator entry(tree, error), end; !error && entry != end; entry.increment(error)) {
      std::error_code ignored;
      if (entry->symlink_status(ignored).type() == fs::file_type::directory) {
        this->tree(entry->path());
      } else {
        file(entry->path());
      }
    }
    note(disk_->rmdir(tree.c_str()), "remove the directory", tree);
  }
  void finish() const {
    if (error_ == 0) return;
    errno = error_;
    throw_errno(action_, path_);
  }

 private:
  void note(int result, std::string_view action, const fs::path& path) {
    if (result == 0 || errno == ENOENT || error_ != 0) return;
    error_ = errno;
    action_ = action;
    path_ = path;
  }

  Disk* disk_;
  int error_ = 0;
  std::string_view action_;
  fs::path path_;
};

}  // namespace

void remove_tree(const fs::path& tree, const fs::path& first, Disk& disk) {
  Removal removal(disk);
  std::error_code error;
  if (fs::is_symlink(tree, error)) {
    removal.file(tree);
  } else {
    if (!first.empty()) removal.file(tree / first);
    removal.tree(tree);
  }
  removal.finish();
}

void try_remove_tree(const fs::path& tree, Disk& disk) noexcept {
  try {
    remove_tree(tree, {}, disk);
  } catch (const std::exception&) {  // what is left is removed at the next start
  }
}

}  // namespace granule
