#include "data/files/files.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"
#include "data/files/disk.hpp"
#include "data/files/mapped_ranges.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

[[noreturn]] void cannot_write(const fs::path& path) {
  const int error = errno;
  io_error(fmt::format("cannot write: {}", std::strerror(error)), path.string(), advice_for(error));
}

}  // namespace

std::int64_t size_of_regular_file(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_unreadable(path);
  if (!S_ISREG(status.st_mode)) user_error("not a regular file", path.string(), "give the path of a file");
  return status.st_size;
}

void require_regular_file(const fs::path& path) {
  static_cast<void>(size_of_regular_file(path));
}

std::string read_file(const fs::path& path, std::int64_t limit) {
  const std::int64_t size = size_of_regular_file(path);
  if (size > limit) {
    user_error(fmt::format("the file is too long: {} bytes, at most {} are read", size, limit), path.string(),
               "check that it is the right file");
  }
  const Descriptor file(path, O_RDONLY);
  if (!file.valid()) throw_unreadable(path);
  std::string text(static_cast<std::size_t>(size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_unreadable(path);
    if (count == 0) user_error("the file became shorter while it was read", path.string(), "try again");
    done += static_cast<std::size_t>(count);
  }
  return text;
}

void sync_file(const fs::path& path) {
  Descriptor file(path, O_RDONLY);
  if (!file.valid() || ::fsync(file.get()) != 0 || file.close() != 0) cannot_write(path);
}

void publish_file(const fs::path& from, const fs::path& to) {
  rename_durably(from, to, Disk::system());
}

PieceReader::PieceReader(const fs::path& path)
    : path_(path), size_(size_of_regular_file(path)), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) throw_unreadable(path);
}

PieceReader::~PieceReader() {
  ::close(fd_);
}

void PieceReader::read(std::int64_t begin, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(fd_, out.data(), out.size(), begin);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_unreadable(path_);
    if (count == 0) user_error("the file became shorter while it was read", path_.string(), "try again");
    out = out.subspan(static_cast<std::size_t>(count));
    begin += count;
  }
}

MappedFile::MappedFile(const fs::path& path) {
  const auto size = static_cast<std::size_t>(size_of_regular_file(path));
  const Descriptor file(path, O_RDONLY);
  if (!file.valid()) throw_unreadable(path);
  if (size == 0) return;
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) throw_unreadable(path);
  bytes_ = {static_cast<const std::byte*>(address), size};
  note_mapping(bytes_, path.string());
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  forget_mapping(bytes_);
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

}  // namespace granule
