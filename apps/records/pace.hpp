// The progress of a run for people who watch it: the mean of its last losses, and the time that it still
// needs.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace granule {

/// It covers the last steps. Time is wall-clock time, so evaluations and saves between steps count.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kSteps = 50;

  explicit Pace(Clock::time_point start = Clock::now()) : times_{start} {}
  /// Call it after every step. A loss that is not finite is not in the mean.
  void add(double ce, Clock::time_point now = Clock::now());
  /// Absent before there is a loss.
  [[nodiscard]] std::optional<double> mean_ce() const;
  /// The time for `steps` more steps. Absent before the first step.
  [[nodiscard]] std::optional<double> seconds_left(std::int64_t steps) const;

 private:
  std::deque<Clock::time_point> times_;  ///< the first one is when the first of these steps started
  std::deque<double> losses_;
};

/// Formats a duration: "12 s", "3 min 05 s", "2 h 07 min", "5 d 3 h".
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace granule
