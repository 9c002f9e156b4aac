// Whether a step's gradients may be applied: non-finite ones never, and, where it is asked for, no spikes.
// Not the skipping itself, and no ranks: it judges numbers that were reduced over all ranks, by arithmetic
// on them alone, so every rank comes to the same verdict.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace granule {

enum class StepVerdict : std::uint8_t {
  apply,
  non_finite,  ///< skip: the loss or the norm of the gradient is NaN or infinite
  spike,       ///< skip: one of them stands out of what was accepted before
};

struct StepGuardConfig {
  std::int64_t max_skips = 5;  ///< in a row, that end the run; 0 as 1
  double spike_sigma = 0.0;    ///< standard deviations above the mean that make a spike; 0: off
};

/// What a judgement depends on besides the step itself: part of a checkpoint.
struct StepGuardState {
  std::int64_t skips_in_row = 0;
  std::int64_t skips = 0;  ///< since the start of the run
  /// The last kWindow steps that were applied, oldest first; empty while spikes are not watched for.
  std::vector<double> losses{}, grad_norms{};
  friend bool operator==(const StepGuardState&, const StepGuardState&) = default;
};

/// A spike is a loss or gradient norm x with x > mean + spike_sigma · deviation (population) over the window,
/// as in OLMo and llm.c. Unlike theirs, the window holds accepted steps only, so an outlier does not widen
/// it; should the new level last, max_skips ends the run. Nothing is a spike before the window is full.
class StepGuard {
 public:
  static constexpr std::size_t kWindow = 128;
  explicit StepGuard(const StepGuardConfig& config);

  /// To be called once a step, before its gradients are applied. loss and grad_norm: of the whole step, over
  /// all ranks; the norm before clipping.
  [[nodiscard]] StepVerdict judge(double loss, double grad_norm);
  /// max_skips in a row were skipped: the run must stop.
  [[nodiscard]] bool gives_up() const {
    return state_.skips_in_row >= std::max(config_.max_skips, std::int64_t{1});
  }

  [[nodiscard]] const StepGuardState& state() const { return state_; }
  /// Goes on from a checkpoint. A window that cannot be one (lengths, values that are not finite) is the
  /// caller's fault.
  void set_state(StepGuardState state);

 private:
  [[nodiscard]] bool is_spike(const std::vector<double>& window, double value) const;

  StepGuardConfig config_;
  StepGuardState state_;
};

}  // namespace granule
