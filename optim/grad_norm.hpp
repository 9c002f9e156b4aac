// The global norm of the gradients, and the factor that clips it.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// sum = Σ g² over a flat range. `sum` is float64 and has one element, so that the sums of many ranges are
/// read together. The order of the sum depends on the length alone.
void squared_norm(const Tensor& gradients, const Tensor& sum);
/// The root of squared_norm() of one range. It waits for the device.
[[nodiscard]] double gradient_norm(const Tensor& gradients);

/// min(1, limit / (norm + 1e-6)), as in PyTorch's clip_grad_norm_. It is 1 if the limit is 0 (off).
[[nodiscard]] double clip_factor(double norm, double limit);

struct SquaredNormArgs {
  Tensor x, sum;
};
extern KernelSlot<SquaredNormArgs> squared_norm_kernel;

}  // namespace granule
