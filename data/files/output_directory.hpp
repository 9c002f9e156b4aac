// A directory that appears complete or not at all. It is filled under another name and renamed at the end.
#pragma once
#include <filesystem>
#include <string>

#include "data/files/disk.hpp"

namespace granule {

class OutputDirectory {
 public:
  /// `out` must be new or empty (else a user error). The work is in OUT.partial, which is locked against a
  /// second job (exit code 73). What an interrupted job left there is removed. If the file system has no
  /// locks, the work goes on without one, and missing_lock() says why.
  explicit OutputDirectory(const std::filesystem::path& out, Disk& disk = Disk::system());
  /// Removes the work unless it was published.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Where to write. The caller must sync the files.
  [[nodiscard]] const std::filesystem::path& partial() const { return partial_; }
  void publish();
  /// Why there is no lock; empty if there is one.
  [[nodiscard]] const std::string& missing_lock() const { return missing_lock_; }

 private:
  void lock(Disk& disk);
  void clear() const;

  std::filesystem::path out_, partial_;
  int lock_ = -1;
  std::string missing_lock_;
};

}  // namespace granule
