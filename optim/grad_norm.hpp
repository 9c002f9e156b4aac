// The global norm of the gradients, and the factor that clips it.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Σ g² over a flat range in float64. The order of the sum depends on the length alone.
[[nodiscard]] double squared_norm(const Tensor& gradients);
/// The root of squared_norm().
[[nodiscard]] double gradient_norm(const Tensor& gradients);

/// min(1, limit / (norm + 1e-6)), as in PyTorch's clip_grad_norm_. It is 1 if the limit is 0 (off).
[[nodiscard]] double clip_factor(double norm, double limit);

}  // namespace granule
