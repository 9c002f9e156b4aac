#include "data/text/stdin_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/error.hpp"

namespace granule {
namespace {

// Its copy takes the place of stdin, so everyone knows its path.
constexpr const char* kCopy = "/proc/self/fd/0";

[[noreturn]] void refuse(std::string_view what) {
  io_error(fmt::format("cannot {}: {}", what, std::strerror(errno)), "stdin",
           "give files instead of -, or set TMPDIR to a directory with room");
}

/// Not every file system can make a file without a name. There the name is removed at once.
int file_without_name() {
  std::error_code error;
  const auto directory = std::filesystem::temp_directory_path(error);
  if (error) {
    errno = error.value();
    return -1;
  }
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = (directory / "granule-stdin-XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

int copied_stdin() {
  const int fd = file_without_name();
  if (fd < 0) refuse("make a file for it");
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (count == 0) return fd;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse("read it");
    for (ssize_t done = 0; done < count;) {
      const ssize_t written = ::write(fd, buffer + done, static_cast<std::size_t>(count - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse("write its copy");
      done += written;
    }
  }
}

int replace_stdin() {
  const int copy = copied_stdin();
  const int replaced = ::dup2(copy, STDIN_FILENO);
  if (replaced < 0) refuse("replace it by its copy");
  ::close(copy);
  return replaced;
}

}  // namespace

std::filesystem::path stdin_as_file() {
  static const int replaced = replace_stdin();
  GRANULE_ASSERT(replaced == STDIN_FILENO, "stdin");
  return kCopy;
}

std::string name_of_input(const std::filesystem::path& path) {
  return path == kStdin || path == kCopy ? "stdin" : path.string();
}

}  // namespace granule
