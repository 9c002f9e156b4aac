#include "optim/schedule.hpp"

#include <cmath>
#include <numbers>

#include "core/error.hpp"
#include "tests/support/catch.hpp"

using granule::learning_rate;
using granule::ScheduleConfig;
using granule::ScheduleKind;

namespace {
// For a product of at most four doubles that may be multiplied in another order.
auto near(double value) {
  return Approx(value).epsilon(1e-14);
}
constexpr double kLr = 3e-4;
}  // namespace

TEST_CASE("schedule: every schedule warms up linearly and reaches the full rate at the last warmup step") {
  for (const auto kind :
       {ScheduleKind::warmup_step_decay, ScheduleKind::cosine, ScheduleKind::wsd, ScheduleKind::constant}) {
    const ScheduleConfig schedule{.kind = kind, .warmup = 10, .decay_at = {80}, .min_lr = 1e-5, .total = 100};
    CHECK(learning_rate(schedule, kLr, 1) == near(kLr / 10));
    CHECK(learning_rate(schedule, kLr, 7) == near(kLr * 0.7));
    CHECK(learning_rate(schedule, kLr, 10) == kLr);
  }
}

TEST_CASE("schedule: without warmup the first step is at the full rate") {
  for (const auto kind : {ScheduleKind::warmup_step_decay, ScheduleKind::wsd, ScheduleKind::constant}) {
    const ScheduleConfig schedule{.kind = kind, .decay_at = {80}, .total = 100};
    CHECK(learning_rate(schedule, kLr, 1) == kLr);
  }
}

TEST_CASE("schedule: the step decay multiplies after each point, the point itself keeps the former rate") {
  // The paper's 16B run: 106449 steps, warmup 2000, ×0.316 at 80 % and at 90 %.
  const ScheduleConfig schedule{
      .warmup = 2000, .decay_at = {85159, 95804}, .decay_by = 0.316, .total = 106449};
  CHECK(learning_rate(schedule, 4.2e-4, 2000) == 4.2e-4);
  CHECK(learning_rate(schedule, 4.2e-4, 85159) == 4.2e-4);
  CHECK(learning_rate(schedule, 4.2e-4, 85160) == near(4.2e-4 * 0.316));
  CHECK(learning_rate(schedule, 4.2e-4, 95804) == near(4.2e-4 * 0.316));
  CHECK(learning_rate(schedule, 4.2e-4, 95805) == near(4.2e-4 * 0.316 * 0.316));
  CHECK(learning_rate(schedule, 4.2e-4, 106449) == near(4.2e-4 * 0.316 * 0.316));
}

TEST_CASE("schedule: the cosine falls from the full rate to min_lr, which the last step has exactly") {
  const ScheduleConfig schedule{.kind = ScheduleKind::cosine, .warmup = 20, .min_lr = 3e-5, .total = 100};
  CHECK(learning_rate(schedule, kLr, 60) == near((kLr + 3e-5) / 2));
  CHECK(learning_rate(schedule, kLr, 40) ==
        near(3e-5 + (kLr - 3e-5) * (1 + std::cos(std::numbers::pi / 4)) / 2));
  CHECK(learning_rate(schedule, kLr, 100) == 3e-5);
  CHECK(learning_rate(schedule, kLr, 99) > 3e-5);
}

TEST_CASE("schedule: wsd holds the rate until decay_at and then falls linearly to min_lr") {
  const ScheduleConfig schedule{
      .kind = ScheduleKind::wsd, .warmup = 5, .decay_at = {80}, .min_lr = 1e-4, .total = 100};
  CHECK(learning_rate(schedule, kLr, 80) == kLr);
  CHECK(learning_rate(schedule, kLr, 81) == near(kLr - 2e-4 / 20));
  CHECK(learning_rate(schedule, kLr, 90) == near(2e-4));
  CHECK(learning_rate(schedule, kLr, 100) == 1e-4);
}

TEST_CASE("schedule: a warmup longer than the run, or past the decay points, stays a warmup") {
  const ScheduleConfig unfinished{.kind = ScheduleKind::cosine, .warmup = 50, .total = 20};
  CHECK(learning_rate(unfinished, kLr, 20) == near(kLr * 0.4));
  const ScheduleConfig overlapping{
      .kind = ScheduleKind::wsd, .warmup = 50, .decay_at = {40}, .min_lr = 0, .total = 100};
  CHECK(learning_rate(overlapping, kLr, 45) == near(kLr * 0.9));
  CHECK(learning_rate(overlapping, kLr, 75) == near(kLr * 0.5));
}

TEST_CASE("schedule: a step past the end keeps the last rate, and step 0 does not exist") {
  const ScheduleConfig schedule{.kind = ScheduleKind::cosine, .min_lr = 1e-5, .total = 10};
  CHECK(learning_rate(schedule, kLr, 11) == 1e-5);
  CHECK_THROWS_AS(learning_rate(schedule, kLr, 0), granule::Error);
}
