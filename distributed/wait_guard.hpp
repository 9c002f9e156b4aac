// A limit for one call that may never return. It is for times without ranks that a Watchdog could watch:
// before they start and after they have ended.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace granule {

struct WaitOptions {
  std::string what;            ///< the call, as a message names it
  std::string advice;          ///< what may be wrong
  double say_seconds = 10.0;   ///< after which the wait is reported
  double limit_seconds = 0.0;  ///< after which the process must end
  /// Takes a line. The guard's thread calls it, and calls `end` once when the limit is over.
  std::function<void(std::string_view)> say{};
  std::function<void(std::string_view)> end{};
};

/// Watches from its construction to its destruction, in its own thread. Time in which the process itself was
/// stopped does not count.
class WaitGuard {
 public:
  explicit WaitGuard(WaitOptions options);
  ~WaitGuard();
  WaitGuard(const WaitGuard&) = delete;
  WaitGuard& operator=(const WaitGuard&) = delete;

 private:
  void watch();
  /// False if the guard must end.
  [[nodiscard]] bool pause(double seconds);

  const WaitOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace granule
