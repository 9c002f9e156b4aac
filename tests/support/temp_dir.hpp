// A directory of the test's own, gone when the test is over.
#pragma once
#include <filesystem>

namespace granule::test {

class TempDir {
 public:
  /// memory: where there is one, a file system that no disk slows down, for tests of thousands of small
  /// files.
  enum class Where { disk, memory };
  explicit TempDir(Where where = Where::disk);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::filesystem::path& name) const {
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace granule::test
