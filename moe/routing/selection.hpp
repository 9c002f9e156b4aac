// Which experts a token chooses. There are no gradients here, because choices are constants in backward.
#pragma once
#include "core/tensor.hpp"
#include "moe/config.hpp"

namespace granule {

/// How a token chooses k experts by their scores, after DeepSeek-V2 (arXiv 2405.04434) and -V3 (arXiv
/// 2412.19437). The experts form `groups` groups of consecutive experts, and only the best `kept_groups` take
/// part. The value of a group is its largest score or the sum of its two largest. Experts of other groups are
/// never chosen, whatever the sign of a score.
struct SelectionRule {
  enum class GroupScore : std::uint8_t { maximum, sum_of_two };
  std::int64_t k;
  std::int64_t groups = 1;
  std::int64_t kept_groups = 1;
  GroupScore group_score = GroupScore::maximum;
};
[[nodiscard]] SelectionRule selection_rule(const MoeConfig& moe);

/// The ids of the k largest score_NE + bias_E of each row under the rule, largest first. Of equal ones the
/// lower id comes first, and of equal groups the lower group. NaN counts as the lowest score. id_NK is int32.
/// bias_E is float32; undefined means none.
[[nodiscard]] Tensor select_experts(const Tensor& score_NE, const Tensor& bias_E, const SelectionRule& rule);

/// K distinct experts for each token, a function of its id and the seed alone (Hash Layers, Roller et al.
/// 2021).
[[nodiscard]] Tensor hash_experts(const Tensor& token_N, std::int64_t experts, std::int64_t k,
                                  std::int64_t seed);

/// How often each expert was chosen in each of `units` equal runs of rows: int64 [units, experts]. Rows whose
/// valid_N (int32) is 0 are padding and do not count. If valid_N is undefined, all rows are valid.
[[nodiscard]] Tensor count_choices(const Tensor& id_NK, std::int64_t experts, std::int64_t units,
                                   const Tensor& valid_N = {});

/// The choices that are carried out, with −1 for the others. An expert takes its `capacity` most affine
/// tokens, the earlier of equal ones, and drops the rest. Rows that are not valid are not carried out and use
/// no capacity. affinity_NE has the router's scores, and NaN is the lowest. If it is undefined, all are equal
/// (a hash router's).
[[nodiscard]] Tensor within_capacity(const Tensor& id_NK, const Tensor& affinity_NE, std::int64_t experts,
                                     std::int64_t capacity, const Tensor& valid_N = {});

/// ⌈capacity_factor · K · T / E⌉.
[[nodiscard]] std::int64_t expert_capacity(const MoeConfig& moe, std::int64_t tokens);

}  // namespace granule
