// The mean squared error: a loss for regression.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y = Σ_i (a_i − b_i)² / n over all n elements, at least one; shapes and dtypes equal.
///   da_i = 2 dy (a_i − b_i) / n,   db = −da
/// In float64 whatever the dtype, as linear_cross_entropy is. The mean is of these elements alone: where
/// several micro-batches make a step, their seeds say how much each counts.
struct Mse {
  static constexpr std::string_view kName = "mse";
  struct Saved {
    Tensor a, b;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& a, const Tensor& b) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const;

  /// (a, b, y)
  static KernelSlot<void(const Tensor&, const Tensor&, const Tensor&)> forward_kernel;
  /// (a, b, dy, da), da wanted; with a and b exchanged it gives db
  static KernelSlot<void(const Tensor&, const Tensor&, const Tensor&, const Grad&)> backward_kernel;
};

}  // namespace granule
