#include "optim/step_guard.hpp"

#include <cmath>
#include <limits>

#include "core/error.hpp"
#include "tests/support/catch.hpp"

using granule::StepGuard;
using granule::StepGuardState;
using granule::StepVerdict;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr auto kWindow = static_cast<int>(StepGuard::kWindow);

/// Accepts a full window. Losses alternate between 1 and 3 (mean 2, deviation 1), and norms between 10 and 20
/// (mean 15, deviation 5).
void fill(StepGuard& guard) {
  for (int i = 0; i < kWindow; ++i)
    REQUIRE(guard.judge(i % 2 == 0 ? 1.0 : 3.0, i % 2 == 0 ? 10.0 : 20.0) == StepVerdict::apply);
}

}  // namespace

TEST_CASE(
    "step_guard: a step that is not finite is skipped from the first one on, whichever number shows it") {
  for (const double bad : {kNaN, kInfinity, -kInfinity}) {
    StepGuard guard({});
    CHECK(guard.judge(bad, 1.0) == StepVerdict::non_finite);
    CHECK(guard.judge(1.0, bad) == StepVerdict::non_finite);
    CHECK(guard.judge(bad, bad) == StepVerdict::non_finite);
    CHECK(guard.state().skips_in_row == 3);
    CHECK(guard.judge(1.0, 1.0) == StepVerdict::apply);
    CHECK(guard.state().skips_in_row == 0);
    CHECK(guard.state().skips == 3);
  }
}

TEST_CASE("step_guard: the largest finite numbers are finite") {
  StepGuard guard({.max_skips = 0, .spike_sigma = 3.0});
  fill(guard);
  const double largest = std::numeric_limits<double>::max();
  CHECK(guard.judge(-largest, 0.0) == StepVerdict::apply);
  CHECK(guard.judge(2.0, largest) == StepVerdict::spike);
}

TEST_CASE(
    "step_guard: the run gives up after max_skips skips in a row, and at the first where there may be none") {
  StepGuard patient({.max_skips = 2});
  for (int round = 0; round < 3; ++round) {
    static_cast<void>(patient.judge(kNaN, 1.0));
    CHECK_FALSE(patient.gives_up());
    static_cast<void>(patient.judge(1.0, 1.0));
  }
  for (int i = 0; i < 2; ++i) static_cast<void>(patient.judge(kNaN, 1.0));
  CHECK(patient.gives_up());
  StepGuard strict({.max_skips = 0});
  CHECK_FALSE(strict.gives_up());
  static_cast<void>(strict.judge(1.0, kInfinity));
  CHECK(strict.gives_up());
}

TEST_CASE(
    "step_guard: a loss or a norm is a spike from the stated number of deviations on, and only upwards") {
  struct Row {
    double loss, grad_norm;
    StepVerdict verdict;
  };
  // sigma = 3: the limits are 2 + 3 · 1 = 5 and 15 + 3 · 5 = 30. Binary fractions reach them exactly.
  for (const Row& row : {Row{5.0, 30.0, StepVerdict::apply}, Row{5.0625, 15.0, StepVerdict::spike},
                         Row{2.0, 30.5, StepVerdict::spike}, Row{-100.0, 0.0, StepVerdict::apply}}) {
    CAPTURE(row.loss, row.grad_norm);
    StepGuard guard({.spike_sigma = 3.0});
    fill(guard);
    CHECK(guard.judge(row.loss, row.grad_norm) == row.verdict);
  }
}

TEST_CASE(
    "step_guard: nothing is a spike before the window is full, while the window is constant, or when it is "
    "off") {
  StepGuard young({.spike_sigma = 1.0});
  for (int i = 0; i + 1 < kWindow; ++i) REQUIRE(young.judge(i % 2, 1.0) == StepVerdict::apply);
  CHECK(young.judge(1000.0, 1.0) == StepVerdict::apply);
  StepGuard constant({.spike_sigma = 1.0});
  for (int i = 0; i < kWindow; ++i) REQUIRE(constant.judge(1.0, 1.0) == StepVerdict::apply);
  CHECK(constant.judge(1.5, 1.5) == StepVerdict::apply);
  StepGuard off({});
  fill(off);
  CHECK(off.judge(1e9, 1e9) == StepVerdict::apply);
  CHECK(off.state().losses.empty());
}

TEST_CASE("step_guard: neither spikes nor non-finite steps enter the window") {
  StepGuard guard({.max_skips = 1000, .spike_sigma = 3.0});
  fill(guard);
  const StepGuardState before = guard.state();
  for (int i = 0; i < 200; ++i) {
    REQUIRE(guard.judge(1e6, 15.0) == StepVerdict::spike);
    REQUIRE(guard.judge(kNaN, kInfinity) == StepVerdict::non_finite);
  }
  CHECK(guard.state().losses == before.losses);
  CHECK(guard.state().grad_norms == before.grad_norms);
  CHECK(guard.judge(5.0625, 15.0) == StepVerdict::spike);
}

TEST_CASE("step_guard: the window forgets: after 128 accepted steps at another level the old one is gone") {
  StepGuard guard({.spike_sigma = 3.0});
  fill(guard);
  // A fall is not a spike. After it, the mean is 0 and the deviation is 0.5, so the earlier usual values are
  // spikes now.
  for (int i = 0; i < kWindow; ++i) REQUIRE(guard.judge(i % 2 == 0 ? -0.5 : 0.5, 15.0) == StepVerdict::apply);
  CHECK(guard.state().losses.size() == StepGuard::kWindow);
  CHECK(guard.judge(1.5, 15.0) == StepVerdict::apply);
  CHECK(guard.judge(2.0, 15.0) == StepVerdict::spike);
}

TEST_CASE("step_guard: a guard that goes on from a state judges as the one that was never interrupted") {
  const granule::StepGuardConfig config{.max_skips = 3, .spike_sigma = 2.0};
  StepGuard straight(config), resumed(config);
  const auto loss = [](int i) { return std::sin(i) + (i % 41 == 0 ? 9.0 : 0.0); };
  for (int i = 0; i < 400; ++i) {
    const double norm = i % 97 == 5 ? kNaN : 2.0 + std::cos(3 * i);
    if (i % 50 == 0) {
      StepGuard fresh(config);
      fresh.set_state(resumed.state());
      resumed = fresh;
    }
    REQUIRE(straight.judge(loss(i), norm) == resumed.judge(loss(i), norm));
    REQUIRE(straight.state() == resumed.state());
  }
  CHECK(straight.state().skips > 4);
}

TEST_CASE("step_guard: a state that no run can have is the caller's fault") {
  StepGuard guard({.spike_sigma = 2.0});
  CHECK_THROWS_AS(guard.set_state({.losses = {1.0}}), granule::Error);
  CHECK_THROWS_AS(guard.set_state({.losses = {kNaN}, .grad_norms = {1.0}}), granule::Error);
  CHECK_THROWS_AS(guard.set_state({.skips_in_row = 2, .skips = 1}), granule::Error);
  const std::vector<double> long_window(StepGuard::kWindow + 1, 1.0);
  CHECK_THROWS_AS(guard.set_state({.losses = long_window, .grad_norms = long_window}), granule::Error);
}
