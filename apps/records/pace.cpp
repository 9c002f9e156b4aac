#include "apps/records/pace.hpp"

#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace granule {

void Pace::add(double ce, Clock::time_point now) {
  times_.push_back(now);
  if (times_.size() > kSteps + 1) times_.pop_front();
  if (!std::isfinite(ce)) return;
  losses_.push_back(ce);
  if (losses_.size() > kSteps) losses_.pop_front();
}

std::optional<double> Pace::mean_ce() const {
  if (losses_.empty()) return std::nullopt;
  return std::accumulate(losses_.begin(), losses_.end(), 0.0) / static_cast<double>(losses_.size());
}

std::optional<double> Pace::seconds_left(std::int64_t steps) const {
  const auto done = static_cast<double>(times_.size() - 1);
  if (done == 0.0) return std::nullopt;
  const std::chrono::duration<double> taken = times_.back() - times_.front();
  return taken.count() / done * static_cast<double>(steps);
}

std::string duration_text(double seconds) {
  constexpr std::int64_t kMinute = 60, kHour = 60 * kMinute, kDay = 24 * kHour;
  if (!(seconds < 1e9)) return "years";
  const std::int64_t whole = std::llround(std::max(seconds, 0.0));
  if (whole < kMinute) return fmt::format("{} s", whole);
  if (whole < kHour) return fmt::format("{} min {:02} s", whole / kMinute, whole % kMinute);
  if (whole < kDay) return fmt::format("{} h {:02} min", whole / kHour, whole % kHour / kMinute);
  return fmt::format("{} d {} h", whole / kDay, whole % kDay / kHour);
}

}  // namespace granule
