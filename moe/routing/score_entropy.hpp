// How decided a router is.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Σ over tokens of −Σ_e p_e log p_e in nats, with p = s / Σ s. It is log E for each token if a router knows
/// nothing, and 0 if it is sure. score_NE is not negative. valid_N: see moe/routing/valid_tokens.hpp.
[[nodiscard]] double score_entropy(const Tensor& score_NE, const Tensor& valid_N);

}  // namespace granule
