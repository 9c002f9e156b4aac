// A cell's run as a process of its own, `granule train --resume RUN`. A crash, or a lack of memory, then ends
// this cell and not the sweep.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace granule {

class CellProcess {
 public:
  /// Starts this program with these arguments. `log` becomes what it writes to stderr, and its stdout is
  /// dropped. It is killed when this process ends in any way, so that its run is free at once. It is in a
  /// process group of its own, so that only this process passes signals on. Signals that this process blocks
  /// wait until it listens. Throws exit code 71 if the system starts no process.
  CellProcess(const std::vector<std::string>& arguments, const std::filesystem::path& log);
  ~CellProcess();
  CellProcess(const CellProcess&) = delete;
  CellProcess& operator=(const CellProcess&) = delete;

  void send(int signal) const;
  /// The exit code once the process has ended, 128 + the signal's number if a signal ended it.
  [[nodiscard]] std::optional<int> exit_code();

 private:
  pid_t pid_ = -1;
};

}  // namespace granule
