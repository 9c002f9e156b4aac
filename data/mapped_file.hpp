// A regular file mapped into memory, read-only.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

namespace granule {

class MappedFile {
 public:
  /// Throws a user error when the path is no readable regular file. Never waits, not even on a FIFO.
  [[nodiscard]] static MappedFile open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  /// Valid as long as this object, wherever it is moved.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace granule
