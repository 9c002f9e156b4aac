#include "moe/routing/selection.hpp"

namespace granule {

SelectionRule selection_rule(const MoeConfig& moe) {
  return {moe.num_experts_per_tok, moe.n_group, moe.topk_group,
          moe.scoring_func == ScoringFunction::sigmoid ? SelectionRule::GroupScore::sum_of_two
                                                       : SelectionRule::GroupScore::maximum};
}

std::int64_t expert_capacity(const MoeConfig& moe, std::int64_t tokens) {
  const double share = moe.capacity_factor * static_cast<double>(moe.num_experts_per_tok) *
                       static_cast<double>(tokens) / static_cast<double>(moe.n_routed_experts);
  // 1.1 is stored as a little more than 1.1. Then ceil of a product that should be whole would be one too
  // large.
  constexpr double kRounding = 1e-12;
  const double whole = std::round(share);
  return static_cast<std::int64_t>(std::abs(share - whole) <= kRounding * whole ? whole : std::ceil(share));
}

}  // namespace granule
