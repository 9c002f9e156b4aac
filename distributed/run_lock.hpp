// One job a run directory: an advisory lock that ends with the process that holds it, however it ends.
#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

namespace granule {

class RunLock {
 public:
  /// Locks `<directory>/.lock`, trying for `patience`: the ranks of a job that was killed live on for about a
  /// second. Throws exit code 73 naming the owner's host and process when another job keeps it, io_error when
  /// there can be no lock.
  explicit RunLock(const std::filesystem::path& directory,
                   std::chrono::milliseconds patience = std::chrono::seconds(5));
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int fd_ = -1;
};

struct LockState {
  std::optional<bool> held{};  ///< nothing where the file system does not tell
  std::string owner{};         ///< what the last job wrote there: its host and process
};
/// Whether a job holds the directory, found out without holding it.
[[nodiscard]] LockState lock_state(const std::filesystem::path& directory);

}  // namespace granule
