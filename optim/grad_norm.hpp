// The global norm of the gradients, and the factor that clips it.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Σ g² over a flat range, summed in float64 in an order that depends on the length alone.
[[nodiscard]] double squared_norm(const Tensor& gradients);
/// Its root.
[[nodiscard]] double gradient_norm(const Tensor& gradients);

/// min(1, limit / (norm + 1e-6)), PyTorch's clip_grad_norm_; 1 for limit 0 (off).
[[nodiscard]] double clip_factor(double norm, double limit);

}  // namespace granule
