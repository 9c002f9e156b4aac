// What a long command says on stderr while it works: one line redrawn in place on a terminal, else plain
// lines now and then.
#pragma once
#include <chrono>
#include <string_view>

namespace granule {

class Progress {
 public:
  /// Off a terminal, lines of show() come at most once every `interval`.
  explicit Progress(std::chrono::milliseconds interval = std::chrono::seconds(5));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// The state of the work; may be called as often as one likes.
  void show(std::string_view line);
  /// A line that stays, such as a result.
  void say(std::string_view line);
  /// A line that stays, and is left out where nobody has read many before it.
  void say_one_of_many(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  bool drawn_ = false;
  Clock::duration interval_;
  Clock::time_point next_;
};

}  // namespace granule
