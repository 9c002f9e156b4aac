// How decided a router is.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Σ over tokens of −Σ_e p_e log p_e in nats, p = s / Σ s: log E where a router knows nothing, 0 where it is
/// sure. score_NE not negative; valid_N as everywhere.
[[nodiscard]] double score_entropy(const Tensor& score_NE, const Tensor& valid_N);

}  // namespace granule
