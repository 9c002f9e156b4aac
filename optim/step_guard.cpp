#include "optim/step_guard.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"

namespace granule {
namespace {

void push(std::vector<double>& window, double value) {
  if (window.size() == StepGuard::kWindow) window.erase(window.begin());
  window.push_back(value);
}

bool is_window(const std::vector<double>& values) {
  return values.size() <= StepGuard::kWindow &&
         std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

}  // namespace

StepGuard::StepGuard(const StepGuardConfig& config) : config_(config) {
  GRANULE_CHECK(config.max_skips >= 0, "step guard: max_skips = {}", config.max_skips);
  GRANULE_CHECK(config.spike_sigma >= 0.0, "step guard: spike_sigma = {}", config.spike_sigma);
}

bool StepGuard::is_spike(const std::vector<double>& window, double value) const {
  if (window.size() < kWindow) return false;
  // Sum again and in order. A running sum would drift, and would differ after a resume.
  double mean = 0.0, squares = 0.0;
  for (const double past : window) mean += past / static_cast<double>(kWindow);
  for (const double past : window) squares += (past - mean) * (past - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(kWindow));
  return deviation > 0.0 && value > mean + config_.spike_sigma * deviation;
}

StepVerdict StepGuard::judge(double loss, double grad_norm) {
  const bool watch = config_.spike_sigma > 0.0;
  StepVerdict verdict = StepVerdict::apply;
  if (!std::isfinite(loss) || !std::isfinite(grad_norm)) {
    verdict = StepVerdict::non_finite;
  } else if (watch && (is_spike(state_.losses, loss) || is_spike(state_.grad_norms, grad_norm))) {
    verdict = StepVerdict::spike;
  }
  if (verdict != StepVerdict::apply) {
    ++state_.skips_in_row;
    ++state_.skips;
    return verdict;
  }
  state_.skips_in_row = 0;
  if (watch) {
    push(state_.losses, loss);
    push(state_.grad_norms, grad_norm);
  }
  return verdict;
}

void StepGuard::set_state(StepGuardState state) {
  GRANULE_CHECK(is_window(state.losses) && is_window(state.grad_norms) &&
                    state.losses.size() == state.grad_norms.size(),
                "step guard: a window of {} losses and {} norms", state.losses.size(),
                state.grad_norms.size());
  GRANULE_CHECK(state.skips_in_row >= 0 && state.skips >= state.skips_in_row,
                "step guard: {} skips in a row of {}", state.skips_in_row, state.skips);
  state_ = std::move(state);
}

}  // namespace granule
