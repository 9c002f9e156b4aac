#include "data/files/atomic_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <random>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/movement.hpp"

namespace granule {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kCopyChunk = std::size_t{1} << 20;
/// A slow disk takes so much within seconds, so that a watchdog sees every piece as progress.
constexpr std::size_t kMostAtOnce = std::size_t{8} << 20;
constexpr std::string_view kPart = ".part-";
constexpr std::size_t kSuffixDigits = 8;

std::string random_suffix() {
  return fmt::format("{}{:08x}", kPart, std::random_device{}());
}

}  // namespace

AtomicFile::AtomicFile(fs::path path, Disk& disk) : path_(std::move(path)), disk_(&disk) {
  do {
    part_ = path_.string() + random_suffix();
    fd_ = disk_->create(part_.c_str());
  } while (fd_ < 0 && (errno == EINTR || errno == EEXIST));
  if (fd_ < 0) throw_errno("create the file", path_);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) disk_->close(fd_);
  if (!part_.empty()) disk_->unlink(part_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  digest_.add(bytes);
  size_ += static_cast<std::int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t written = disk_->write(fd_, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;  // a regular file never takes nothing, so looping here would not end
    if (written <= 0) throw_errno("write the file", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    note_movement();
  }
}

WrittenFile AtomicFile::commit() {
  int result = 0;
  do result = disk_->fsync(fd_);
  while (result != 0 && errno == EINTR);
  if (result != 0) throw_errno("make the file durable", path_);
  note_movement();
  // An interrupted close has closed the file, and its data are already durable.
  if (disk_->close(std::exchange(fd_, -1)) != 0 && errno != EINTR) throw_errno("close the file", path_);
  if (disk_->rename(part_.c_str(), path_.c_str()) != 0)
    throw_errno("rename the new file to its place", path_);
  part_.clear();
  sync_directory(parent_of(path_), *disk_);
  return {path_.filename().string(), size_, digest_.finish()};
}

WrittenFile write_file(const fs::path& path, std::string_view text, Disk& disk) {
  AtomicFile file(path, disk);
  file.write(std::as_bytes(std::span(text)));
  return file.commit();
}

WrittenFile copy_durably(const fs::path& from, const fs::path& to, Disk& disk) {
  std::ifstream source(from, std::ios::binary);
  if (!source) throw_unreadable(from);
  AtomicFile file(to, disk);
  std::vector<char> chunk(kCopyChunk);
  while (source.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), source.gcount() > 0) {
    file.write(std::as_bytes(std::span(chunk)).first(static_cast<std::size_t>(source.gcount())));
  }
  if (source.bad() || !source.eof()) user_error("reading failed", from.string(), "check the disk");
  return file.commit();
}

bool is_unfinished(std::string_view name) {
  const auto at = name.rfind(kPart);
  return at != std::string_view::npos && at + kPart.size() + kSuffixDigits == name.size();
}

}  // namespace granule
