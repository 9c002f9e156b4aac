// The choice of experts by their scores. It has no gradient, because choices are constants in backward.
#pragma once
#include <cmath>
#include <limits>

#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// How a token chooses k experts by their scores, after DeepSeek-V2 (arXiv 2405.04434) and -V3 (arXiv
/// 2412.19437). The experts form `groups` groups of consecutive experts, and only the best `kept_groups` take
/// part. The value of a group is its largest score or the sum of its two largest. Experts of other groups are
/// never chosen, whatever the sign of a score.
///
/// Before that, the `masked` experts with a token's largest scores are taken out, as in Figure 4 of the
/// DeepSeekMoE paper (arXiv 2401.06066). They are never chosen and count in no group. The bias has no part in
/// this. If a group has one expert left, the sum of its two largest is that one.
struct SelectionRule {
  enum class GroupScore : std::uint8_t { maximum, sum_of_two };
  std::int64_t k;
  std::int64_t groups = 1;
  std::int64_t kept_groups = 1;
  GroupScore group_score = GroupScore::maximum;
  std::int64_t masked = 0;
};

/// The ids of the k largest score_NE + bias_E of each row under the rule, largest first. Of equal ones the
/// lower id comes first, and of equal groups the lower group. Of equal scores the lower id is masked first.
/// NaN counts as the lowest score. id_NK is int32. bias_E is float32; undefined means none. The kept groups
/// must have k experts even if all masked ones are among theirs.
[[nodiscard]] Tensor select_experts(const Tensor& score_NE, const Tensor& bias_E, const SelectionRule& rule);

/// The rule is checked before it is called.
struct SelectExpertsArgs {
  Tensor score_NE, bias_E;
  SelectionRule rule;
  Tensor id_NK;
};
extern KernelSlot<SelectExpertsArgs> select_experts_kernel;

/// Sorting needs numbers. NaN, from a model that has diverged, counts as the lowest number, but above what a
/// group limit excludes.
template <class T>
[[nodiscard]] T comparable(T score) {
  return std::isnan(score) ? std::numeric_limits<T>::lowest() : score;
}

}  // namespace granule
