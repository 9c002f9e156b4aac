#include "optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.hpp"

namespace granule {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

double step_decay(const ScheduleConfig& schedule, double lr, std::int64_t n) {
  for (const std::int64_t point : schedule.decay_at) {
    if (n > point) lr *= schedule.decay_by;
  }
  return lr;
}

double cosine(const ScheduleConfig& schedule, double lr, std::int64_t n) {
  const double progress = ratio(n - schedule.warmup, schedule.total - schedule.warmup);
  const double share = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return schedule.min_lr + (lr - schedule.min_lr) * share;
}

double stable_decay(const ScheduleConfig& schedule, double lr, std::int64_t n) {
  GRANULE_CHECK(schedule.decay_at.size() == 1, "schedule wsd: {} decay points, it takes exactly 1",
                schedule.decay_at.size());
  const std::int64_t start = std::max(schedule.decay_at[0], schedule.warmup);
  if (n <= start) return lr;
  if (n == schedule.total) return schedule.min_lr;
  return lr + (schedule.min_lr - lr) * ratio(n - start, schedule.total - start);
}

}  // namespace

double learning_rate(const ScheduleConfig& schedule, double lr, std::int64_t step) {
  GRANULE_CHECK(step >= 1, "schedule: step {} (steps are counted from 1)", step);
  GRANULE_CHECK(schedule.total >= 1, "schedule: {} steps in all", schedule.total);
  const std::int64_t n = std::min(step, schedule.total);
  if (n <= schedule.warmup) return lr * ratio(n, schedule.warmup);
  switch (schedule.kind) {
    case ScheduleKind::warmup_step_decay:
      return step_decay(schedule, lr, n);
    case ScheduleKind::cosine:
      return cosine(schedule, lr, n);
    case ScheduleKind::wsd:
      return stable_decay(schedule, lr, n);
    case ScheduleKind::constant:
      return lr;
  }
  GRANULE_ASSERT(false, "schedule kind {}", static_cast<int>(schedule.kind));
  return lr;
}

}  // namespace granule
