// Only one job may use a run directory. This advisory lock ends with the process that holds it, however that
// ends.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "data/files/disk.hpp"

namespace granule {

class RunLock {
 public:
  /// Locks `<directory>/.lock` and tries for `patience`, because the ranks of a job that was killed live on
  /// for about a second. If another job holds it, throws exit code 73 with the owner's host and process. If
  /// the file cannot be made, throws io_error. A file system may have no locks (Lustre without flock, NFS
  /// without lockd). Then the job goes on without one, and missing() says why.
  explicit RunLock(const std::filesystem::path& directory,
                   std::chrono::milliseconds patience = std::chrono::seconds(5), Disk& disk = Disk::system());
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// "cannot lock …" if there is no lock; empty if there is one.
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  int fd_ = -1;
  std::string missing_;
};

struct LockState {
  std::optional<bool> held{};  ///< absent if the file system does not tell
  std::string owner{};         ///< what the last job wrote there: its host and process
};
/// Whether a job holds the directory. It does not take the lock to find out.
[[nodiscard]] LockState lock_state(const std::filesystem::path& directory);

/// The warning about a lock that the file system refuses, for any reason.
[[nodiscard]] std::string missing_lock_text(const std::filesystem::path& path, int error);

}  // namespace granule
