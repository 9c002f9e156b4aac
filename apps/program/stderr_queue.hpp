// What the program writes to stderr, on a thread of its own. A terminal that is stopped, or a launcher that
// no longer reads the pipe, must not block the computation.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace granule {

/// There are two kinds of text. An important text waits for the reader however long that takes. Progress
/// waits only while little text waits before it. When the reader reads again, it is told how many lines of
/// progress were left out.
class StderrQueue {
 public:
  /// A regular file is written at once, and without a thread.
  explicit StderrQueue(int fd);
  StderrQueue(const StderrQueue&) = delete;
  StderrQueue& operator=(const StderrQueue&) = delete;

  /// The queue of this process. Its thread ends with the process, because it may wait for a reader that never
  /// comes.
  [[nodiscard]] static StderrQueue& of_process();

  void write(std::string_view text) noexcept;
  void write_progress(std::string_view line) noexcept;
  /// Waits until everything is written. It gives up if the reader takes nothing for two seconds, and after
  /// ten seconds in any case. Call it before the process ends.
  void drain() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Kind { must, progress };
  void take(std::string_view text, Kind kind) noexcept;
  void start();
  void work();
  [[nodiscard]] std::string next();
  void write_now(std::string_view text);

  int fd_;
  bool direct_;
  std::mutex mutex_;  // guards all members below
  std::condition_variable changed_;
  pid_t started_in_ = 0;  // a forked process does not have this thread
  bool busy_ = false, gone_ = false;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::int64_t left_out_ = 0;  // lines of progress
  Clock::time_point moved_;    // when the reader last took something
};

}  // namespace granule
