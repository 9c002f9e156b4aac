#include "data/files/disk.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
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
int Disk::statvfs(const char* path, struct ::statvfs* status) {
  return ::statvfs(path, status);
}

Disk& Disk::system() {
  static Disk disk;  // holds no state
  return disk;
}

void throw_errno(std::string_view action, const fs::path& path) {
  const int error = errno;
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  io_error(fmt::format("cannot {}: {}", action, std::strerror(error)), path.string(),
           full ? "free some space" : "check the disk and its permissions");
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
  const bool closed = disk.close(fd) == 0 || errno == EINTR;
  if (result != 0) errno = error;
  if (result != 0 || !closed) throw_errno("make the directory durable", directory);
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

void remove_tree(const fs::path& tree, const fs::path& first, Disk& disk) {
  std::error_code error;
  if (fs::is_symlink(tree, error)) {
    if (disk.unlink(tree.c_str()) != 0) throw_errno("remove the link", tree);
    return;
  }
  if (!first.empty() && disk.unlink((tree / first).c_str()) != 0 && errno != ENOENT) {
    throw_errno("remove the file", tree / first);
  }
  for (fs::directory_iterator entry(tree, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->symlink_status().type() == fs::file_type::directory) {
      remove_tree(entry->path(), {}, disk);
    } else if (disk.unlink(entry->path().c_str()) != 0) {
      throw_errno("remove the file", entry->path());
    }
  }
  if (disk.rmdir(tree.c_str()) != 0) throw_errno("remove the directory", tree);
}

void try_remove_tree(const fs::path& tree, Disk& disk) noexcept {
  try {
    remove_tree(tree, {}, disk);
  } catch (const std::exception&) {  // what is left behind is swept at the next start
  }
}

}  // namespace granule
