#include "distributed/cpu_wait.hpp"

#include <algorithm>
#include <fstream>

namespace granule {

namespace fs = std::filesystem;

double CpuWait::seconds() {
  std::map<fs::path, std::int64_t> now;
  std::int64_t most = 0;
  std::error_code failure;
  for (const auto& thread : fs::directory_iterator("/proc/self/task", failure)) {
    std::int64_t ran = 0, waited = 0;  // "time on a CPU, time waiting for one, time slices"
    if (!(std::ifstream(thread.path() / "schedstat") >> ran >> waited)) continue;
    const auto before = nanoseconds_.find(thread.path());
    if (before != nanoseconds_.end()) most = std::max(most, waited - before->second);
    now[thread.path()] = waited;
  }
  nanoseconds_ = std::move(now);
  return static_cast<double>(most) * 1e-9;
}

}  // namespace granule
