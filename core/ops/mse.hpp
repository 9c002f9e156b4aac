// The mean squared error: a loss for regression.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y = Σ_i (a_i − b_i)² / n over all n ≥ 1 elements. Shapes and dtypes must be equal.
///   da_i = 2 dy (a_i − b_i) / n,   db = −da
/// y is float64 for every dtype, as in linear_cross_entropy. The mean is over these elements alone. If a step
/// has several micro-batches, their seeds say how much each of them counts.
struct Mse {
  static constexpr std::string_view kName = "mse";
  struct Saved {
    Tensor a, b;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& a, const Tensor& b) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const;

  struct ForwardArgs {
    Tensor a, b, y;
  };
  /// With a and b exchanged it computes db.
  struct BackwardArgs {
    Tensor a, b, dy;
    Grad da;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
