// What a long command writes to stderr while it works. On a terminal it is one line that is redrawn in place,
// else a plain line now and then.
#pragma once
#include <chrono>
#include <string_view>

namespace granule {

class Progress {
 public:
  /// If stderr is not a terminal, lines of show() come at most once every `interval`.
  explicit Progress(std::chrono::milliseconds interval = std::chrono::seconds(5));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Shows the state of the work. It may be called as often as you like.
  void show(std::string_view line);
  /// Writes a line that stays, such as a result.
  void say(std::string_view line);
  /// Writes a line that stays. It is left out if many lines before it have not been read.
  void say_one_of_many(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::duration interval_;
  Clock::time_point next_;
};

}  // namespace granule
