// How a run is doing, for people who watch it: the mean of its last losses, and how long it still takes.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace granule {

/// Of the last steps. Time is that of the clock, so evaluations and saves between steps count.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kSteps = 50;

  explicit Pace(Clock::time_point start = Clock::now()) : times_{start} {}
  /// A step was done. A loss that is not finite enters no mean.
  void add(double ce, Clock::time_point now = Clock::now());
  /// Nothing before there is a loss.
  [[nodiscard]] std::optional<double> mean_ce() const;
  /// For `steps` more of them; nothing before the first.
  [[nodiscard]] std::optional<double> seconds_left(std::int64_t steps) const;

 private:
  std::deque<Clock::time_point> times_;  ///< the first is the start of the first of these steps
  std::deque<double> losses_;
};

/// "12 s", "3 min 05 s", "2 h 07 min", "5 d 3 h".
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace granule
