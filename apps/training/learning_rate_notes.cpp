#include "apps/training/learning_rate_notes.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "optim/schedule.hpp"

namespace granule {

std::optional<std::string> learning_rate_jump(const RunConfig& saved, const RunConfig& now, std::int64_t done,
                                              std::int64_t samples) {
  if (done < 1) return std::nullopt;
  const RunSteps was = resolve_steps(saved, samples), is = resolve_steps(now, samples);
  if (done >= is.total) return std::nullopt;
  const double last = learning_rate(was.schedule, saved.optim.lr, done);
  const double as_saved = learning_rate(was.schedule, saved.optim.lr, done + 1);
  const double next = learning_rate(is.schedule, now.optim.lr, done + 1);
  constexpr double kRounding = 1e-12;
  if (std::abs(next - as_saved) <= kRounding * std::max(next, as_saved)) return std::nullopt;
  const std::string reason =
      was.total == is.total
          ? "the schedule has changed"
          : fmt::format("the schedule is that of a run of {} steps, and was that of a run of {} before",
                        is.total, was.total);
  return fmt::format("the learning rate of step {} is {:.2e}, that of step {} was {:.2e}: {}", done + 1, next,
                     done, last, reason);
}

std::optional<std::string> decay_after_the_run(const RunSteps& steps) {
  for (const std::int64_t point : steps.schedule.decay_at) {
    if (point > steps.total)
      return fmt::format("schedule.decay_at comes to step {}, after the run's last step, {}", point,
                         steps.total);
  }
  return std::nullopt;
}

}  // namespace granule
