// A file in memory, for readers that take a path.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>

namespace granule::fuzz {

class MemoryFile {
 public:
  explicit MemoryFile(std::span<const std::byte> bytes);
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  [[nodiscard]] std::filesystem::path path() const;

 private:
  int fd_;
};

}  // namespace granule::fuzz
