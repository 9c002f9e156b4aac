// System calls on odd file systems. Some are slow, some hang, some have no locks, and some are small. A
// program that is linked with this file calls these instead of the C library's, and so does its HDF5.
// GRANULE_SYSTEM says what is odd:
//   slow=PART milliseconds=N calls=N  this many reads and writes of files with PART in their name take this
//                                     long each
//   stuck=PART                        a read of such a file never returns
//   flock=ERRNO of=PART               locks of such files fail
//   busy=PART                         files with PART in their path cannot be removed
//   disk=BYTES under=DIRECTORY        the disk has this size, and only that directory is on it
// With when=PATH it applies only after there is a file of that name. With rank=R it applies only on that
// rank.
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <thread>

#include <dlfcn.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::string>& system_words() {
  static const auto words = [] {
    std::map<std::string, std::string> read;
    const char* const text = std::getenv("GRANULE_SYSTEM");
    std::istringstream stream(text == nullptr ? "" : text);
    for (std::string word; stream >> word;)
      read[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    return read;
  }();
  return words;
}

std::string word(const char* key) {
  const auto found = system_words().find(key);
  return found == system_words().end() ? std::string() : found->second;
}

/// The function that this definition replaces, which is the C library's or a sanitizer's.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

bool is_odd_now() {
  const std::string when = word("when"), rank = word("rank");
  const char* const own = std::getenv("OMPI_COMM_WORLD_RANK");
  return (when.empty() || fs::exists(when)) && (rank.empty() || (own != nullptr && rank == own));
}

/// Whether the key is given, and the file has its value in its name.
bool concerns(const char* key, int fd) {
  const std::string part = word(key);
  if (part.empty() || !is_odd_now()) return false;
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
  if (size <= 0) return false;
  const fs::path name = fs::path(std::string(path.data(), static_cast<std::size_t>(size))).filename();
  return name.string().find(part) != std::string::npos;
}

void take_time(int fd) {
  if (concerns("stuck", fd)) std::this_thread::sleep_for(std::chrono::hours(1));
  if (concerns("slow", fd)) {
    static std::atomic<int> calls = 0;
    if (calls++ < std::stoi(word("calls")))
      std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(word("milliseconds"))));
  }
}

std::uintmax_t bytes_under(const fs::path& directory) {
  std::uintmax_t sum = 0;
  if (!fs::exists(directory)) return sum;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file()) sum += entry.file_size();
  return sum;
}

}  // namespace

extern "C" {

ssize_t pread(int fd, void* data, std::size_t size, off_t offset) {
  take_time(fd);
  return next<ssize_t(int, void*, std::size_t, off_t)>("pread")(fd, data, size, offset);
}

ssize_t write(int fd, const void* data, std::size_t size) {
  take_time(fd);
  return next<ssize_t(int, const void*, std::size_t)>("write")(fd, data, size);
}

int flock(int fd, int operation) noexcept {
  if (operation != LOCK_UN && concerns("of", fd)) {
    errno = std::stoi(word("flock"));
    return -1;
  }
  return next<int(int, int)>("flock")(fd, operation);
}

int unlink(const char* path) noexcept {
  if (const std::string part = word("busy");
      !part.empty() && std::string(path).find(part) != std::string::npos) {
    errno = EBUSY;
    return -1;
  }
  return next<int(const char*)>("unlink")(path);
}

int statvfs(const char* path, struct statvfs* status) noexcept {
  const int result = next<int(const char*, struct statvfs*)>("statvfs")(path, status);
  const std::string size = word("disk");
  if (result != 0 || size.empty()) return result;
  const std::uintmax_t all = std::stoull(size), used = bytes_under(word("under"));
  status->f_frsize = 1;
  status->f_bavail = status->f_bfree = all > used ? all - used : 0;
  return result;
}
}
