#include "data/files/run_lock.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/host_name.hpp"
#include "data/files/disk.hpp"

namespace granule {
namespace {

constexpr std::chrono::milliseconds kPause{50};

std::string this_process() {
  return fmt::format("host {}, process {}", host_name(), ::getpid());
}

/// What the owner wrote. It may be in the middle of writing.
std::string owner_of(int fd) {
  std::array<char, 400> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  std::string owner(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!owner.empty() && owner.back() == '\n') owner.pop_back();
  return owner.empty() ? "an unknown process" : owner;
}

/// Returns 0 if it is locked, else the errno of the last try.
int lock(int fd, std::chrono::milliseconds patience, Disk& disk) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (disk.flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return errno;
    if (std::chrono::steady_clock::now() >= deadline) return EWOULDBLOCK;
    std::this_thread::sleep_for(kPause);
  }
  return 0;
}

void write_owner(int fd, const std::filesystem::path& path) {
  const std::string text = this_process() + "\n";
  const auto size = static_cast<ssize_t>(text.size());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) != size) {
    throw_errno("write the lock", path);
  }
}

}  // namespace

std::string missing_lock_text(const std::filesystem::path& path, int error) {
  return fmt::format(
      "cannot lock {}: {}; the file system may have no locks: make sure that no other job writes here",
      path.string(), std::strerror(error));
}

RunLock::RunLock(const std::filesystem::path& directory, std::chrono::milliseconds patience, Disk& disk) {
  const std::filesystem::path path = directory / ".lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_errno("create the lock", path);
  try {
    const int failure = lock(fd_, patience, disk);
    if (failure == EWOULDBLOCK) {
      throw Error(ExitCode::in_use, fmt::format("another job uses the directory: {}", owner_of(fd_)),
                  directory.string(), "wait for it to end or choose another directory");
    }
    if (failure != 0) missing_ = missing_lock_text(path, failure);
    write_owner(fd_, path);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

// The file stays. If it were removed, two jobs could lock two files of the same name.
RunLock::~RunLock() {
  ::close(fd_);
}

LockState lock_state(const std::filesystem::path& directory) {
  const int fd = ::open((directory / ".lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {.held = errno == ENOENT ? std::optional(false) : std::nullopt};
  LockState state{.owner = owner_of(fd)};
  // A shared lock, held only this briefly. A job that starts meanwhile tries again.
  const bool free = Disk::system().flock(fd, LOCK_SH | LOCK_NB) == 0;
  if (free || errno == EWOULDBLOCK) state.held = !free;
  ::close(fd);
  return state;
}

}  // namespace granule
