// How long threads that could run have waited for a CPU. On a machine that is busy with other work this is
// most of the time, and a job is slow without being stuck.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>

namespace granule {

/// Watches the threads of this process. Linux counts these times in /proc (CONFIG_SCHED_INFO). A system that
/// does not count them gives 0.
class CpuWait {
 public:
  /// The longest that one of the threads has waited since the last call, in seconds.
  [[nodiscard]] double seconds();

 private:
  std::map<std::filesystem::path, std::int64_t> nanoseconds_;  // of each thread, at the last call
};

}  // namespace granule
