// A directory that appears complete or not at all: it is filled under another name and renamed at the end.
#pragma once
#include <filesystem>
#include <string>

#include "data/files/disk.hpp"

namespace granule {

class OutputDirectory {
 public:
  /// `out` must be new or empty (else a user error). Work goes to OUT.partial, locked against a second job
  /// (exit code 73); what an interrupted job left there is removed. Where the file system has no locks, the
  /// work goes on without one, and missing_lock() says why.
  explicit OutputDirectory(const std::filesystem::path& out, Disk& disk = Disk::system());
  /// Removes the work unless it was published.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Where to write; files are synced by who writes them.
  [[nodiscard]] const std::filesystem::path& partial() const { return partial_; }
  void publish();
  /// Empty where there is a lock.
  [[nodiscard]] const std::string& missing_lock() const { return missing_lock_; }

 private:
  void lock(Disk& disk);
  void clear() const;

  std::filesystem::path out_, partial_;
  int lock_ = -1;
  std::string missing_lock_;
};

}  // namespace granule
