// How decided a router is.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// Σ over tokens of −Σ_e p_e log p_e in nats, with p = s / Σ s: float64 [1]. It is log E for each token if a
/// router knows nothing, and 0 if it is sure. score_NE is not negative. valid_N: see
/// moe/ops/valid_tokens.hpp.
[[nodiscard]] Tensor score_entropy(const Tensor& score_NE, const Tensor& valid_N);

struct ScoreEntropyArgs {
  Tensor score_NE, valid_N, entropy;
};
extern KernelSlot<ScoreEntropyArgs> score_entropy_kernel;

}  // namespace granule
