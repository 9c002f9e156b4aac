// Whether a step's gradients may be applied. Gradients that are not finite never are, and spikes are not if
// the config asks for that. The guard does not skip steps, and it knows no ranks. It judges numbers that were
// reduced over all ranks, by arithmetic on them alone, so every rank reaches the same verdict.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace granule {

enum class StepVerdict : std::uint8_t {
  apply,
  non_finite,  ///< skip: the loss or the norm of the gradient is NaN or infinite
  spike,       ///< skip: one of them stands out of those accepted before
};

struct StepGuardConfig {
  std::int64_t max_skips = 5;  ///< this many skips in a row end the run; 0 means 1
  double spike_sigma = 0.0;    ///< standard deviations above the mean from which a value is a spike; 0: off
};

/// What a verdict depends on besides the step itself. It is part of a checkpoint.
struct StepGuardState {
  std::int64_t skips_in_row = 0;
  std::int64_t skips = 0;  ///< since the start of the run
  /// The last kWindow steps that were applied, oldest first. Empty if spikes are not watched for.
  std::vector<double> losses{}, grad_norms{};
  friend bool operator==(const StepGuardState&, const StepGuardState&) = default;
};

/// A spike is a loss or gradient norm x > mean + spike_sigma · deviation (population) over the window, as in
/// OLMo and llm.c. Unlike theirs, the window has accepted steps only, so an outlier does not widen it. If the
/// new level lasts, max_skips ends the run. Nothing is a spike before the window is full.
class StepGuard {
 public:
  static constexpr std::size_t kWindow = 128;
  explicit StepGuard(const StepGuardConfig& config);

  /// Call it once in each step, before the gradients are applied. `loss` and `grad_norm` are of the whole
  /// step over all ranks, and the norm is that before clipping.
  [[nodiscard]] StepVerdict judge(double loss, double grad_norm);
  /// Whether max_skips steps in a row were skipped, so that the run must stop.
  [[nodiscard]] bool gives_up() const {
    return state_.skips_in_row >= std::max(config_.max_skips, std::int64_t{1});
  }

  [[nodiscard]] const StepGuardState& state() const { return state_; }
  /// Goes on from a checkpoint. An impossible window (by its lengths, or values that are not finite) is the
  /// caller's mistake.
  void set_state(StepGuardState state);

 private:
  [[nodiscard]] bool is_spike(const std::vector<double>& window, double value) const;

  StepGuardConfig config_;
  StepGuardState state_;
};

}  // namespace granule
