#include "tests/support/faulty_disk.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <unistd.h>

namespace granule::test {
namespace {

bool is_sticky(Fault fault) {
  return fault == Fault::eio_sticky || fault == Fault::enospc_sticky;
}

}  // namespace

bool FaultyDisk::strikes(Repeatable repeatable) {
  const int call = calls_++;
  if (fault_ == Fault::none || call < at_ || (call > at_ && !is_sticky(fault_))) return false;
  if (fault_ == Fault::interrupted && repeatable == Repeatable::no) return false;
  if (fault_ == Fault::short_write || fault_ == Fault::torn) return false;  // write() handles these
  ++faults_;
  if (fault_ == Fault::kill) ::kill(::getpid(), SIGKILL);
  const bool full = fault_ == Fault::enospc || fault_ == Fault::enospc_sticky;
  errno = full ? ENOSPC : fault_ == Fault::interrupted ? EINTR : EIO;
  return true;
}

int FaultyDisk::create(const char* path) {
  return strikes(Repeatable::yes) ? -1 : Disk::create(path);
}
int FaultyDisk::open_directory(const char* path) {
  return strikes(Repeatable::no) ? -1 : Disk::open_directory(path);
}

ssize_t FaultyDisk::write(int fd, const void* data, std::size_t size) {
  if (strikes(Repeatable::yes)) return -1;
  const bool struck = calls_ - 1 == at_;
  if (struck && (fault_ == Fault::short_write || fault_ == Fault::torn)) {
    ++faults_;
    const ssize_t written = Disk::write(fd, data, std::max<std::size_t>(size / 2, 1));
    if (fault_ == Fault::torn) ::kill(::getpid(), SIGKILL);
    return written;
  }
  return Disk::write(fd, data, size);
}

int FaultyDisk::fsync(int /*fd*/) {
  return strikes(Repeatable::yes) ? -1 : 0;
}

int FaultyDisk::close(int fd) {
  const bool fails = strikes(Repeatable::yes);
  const int error = errno;
  const int result = Disk::close(fd);  // a close that fails closes the file too
  errno = error;
  return fails ? -1 : result;
}

int FaultyDisk::rename(const char* from, const char* to) {
  return strikes(Repeatable::no) ? -1 : Disk::rename(from, to);
}
int FaultyDisk::mkdir(const char* path) {
  return strikes(Repeatable::no) ? -1 : Disk::mkdir(path);
}
int FaultyDisk::unlink(const char* path) {
  return strikes(Repeatable::no) ? -1 : Disk::unlink(path);
}
int FaultyDisk::rmdir(const char* path) {
  return strikes(Repeatable::no) ? -1 : Disk::rmdir(path);
}

}  // namespace granule::test
