// The learning rate of a step, as a pure function of its number. Periods are not known here; everything is in
// steps.
#pragma once
#include <cstdint>
#include <vector>

namespace granule {

enum class ScheduleKind : std::uint8_t { warmup_step_decay, cosine, wsd, constant };

/// Steps are counted from 1 to `total`, and every kind starts with a linear warmup. Let w be warmup, T total,
/// and min the min_lr, which is an absolute learning rate. The rate of step n is
///   n ≤ w                 lr · n / w
/// and for n > w
///   warmup_step_decay     lr · decay_by^(number of points d in decay_at with n > d)    (DeepSeekMoE §4.1.2)
///   cosine                min + (lr − min) · (1 + cos π p) / 2,  p = (n − w) / (T − w)
///   wsd                   lr up to d, then lr + (min − lr) · (n − d) / (T − d),  d = max(decay_at[0], w)
///   constant              lr
/// So step w is the first at the full rate, step d is the last before a decay, and step T is exactly at min.
/// A wsd with d ≥ T never decays.
struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::warmup_step_decay;
  std::int64_t warmup = 0;
  std::vector<std::int64_t> decay_at{};  ///< ascending; exactly one for wsd, unused by cosine and constant
  double decay_by = 0.316;
  double min_lr = 0.0;
  std::int64_t total = 1;
};

/// The learning rate of step `step` ≥ 1 at peak rate `lr`. A step past `total` gets the rate of `total`.
[[nodiscard]] double learning_rate(const ScheduleConfig& schedule, double lr, std::int64_t step);

}  // namespace granule
