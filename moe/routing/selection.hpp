// What the configuration says about the choice of experts.
#pragma once
#include "moe/config.hpp"
#include "moe/ops/select_experts.hpp"

namespace granule {

[[nodiscard]] SelectionRule selection_rule(const MoeConfig& moe);

/// ⌈capacity_factor · K · T / E⌉.
[[nodiscard]] std::int64_t expert_capacity(const MoeConfig& moe, std::int64_t tokens);

}  // namespace granule
