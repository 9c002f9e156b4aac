// One job a run directory: an advisory lock that ends with the process that holds it, however it ends.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "data/files/disk.hpp"

namespace granule {

class RunLock {
 public:
  /// Locks `<directory>/.lock`, trying for `patience`: the ranks of a job that was killed live on for about a
  /// second. Throws exit code 73 naming the owner's host and process when another job keeps it, io_error when
  /// the file cannot be made. A file system may have no locks (Lustre without flock, NFS without lockd): the
  /// job then goes on without one, and missing() says why.
  explicit RunLock(const std::filesystem::path& directory,
                   std::chrono::milliseconds patience = std::chrono::seconds(5), Disk& disk = Disk::system());
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// "cannot lock …" where there is no lock; empty where there is one.
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  int fd_ = -1;
  std::string missing_;
};

struct LockState {
  std::optional<bool> held{};  ///< nothing where the file system does not tell
  std::string owner{};         ///< what the last job wrote there: its host and process
};
/// Whether a job holds the directory, found out without holding it.
[[nodiscard]] LockState lock_state(const std::filesystem::path& directory);

/// Of a lock that the file system refuses, for whatever reason: what a person has to know.
[[nodiscard]] std::string missing_lock_text(const std::filesystem::path& path, int error);

}  // namespace granule
