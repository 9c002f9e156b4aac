// A directory for one test. It is removed when the test ends.
#pragma once
#include <filesystem>

namespace granule::test {

class TempDir {
 public:
  /// `memory` is a file system that no disk slows down, if there is one. Tests of thousands of small files
  /// use it.
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
