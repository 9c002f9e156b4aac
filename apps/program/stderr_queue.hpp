// What the program says on stderr, written by a thread of its own: a terminal that is held, or a launcher
// that no longer reads the pipe, must not stop who computes.
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

/// Of two kinds of text: what must be said waits for the reader however long that takes, progress only while
/// little waits before it. How many lines of progress were left out is said once the reader reads again.
class StderrQueue {
 public:
  /// A regular file is written at once, and without a thread.
  explicit StderrQueue(int fd);
  StderrQueue(const StderrQueue&) = delete;
  StderrQueue& operator=(const StderrQueue&) = delete;

  /// Of this process. Its thread ends with the process, for it may wait for a reader that never comes.
  [[nodiscard]] static StderrQueue& of_process();

  void write(std::string_view text) noexcept;
  void write_progress(std::string_view line) noexcept;
  /// Waits until everything is written, as long as the reader takes something every two seconds, and ten
  /// seconds at the most. Called before the process ends.
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
  std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  pid_t started_in_ = 0;  // a process that was forked off has no such thread
  bool busy_ = false, gone_ = false;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::int64_t left_out_ = 0;  // lines of progress
  Clock::time_point moved_;    // when the reader last took something
};

}  // namespace granule
