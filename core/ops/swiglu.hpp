// The gated activation of the feed-forward layers (Shazeer 2020, arXiv 2002.05202). N rows, F hidden.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// With x_N2F = [g | u] and s = sigmoid(g):   y_NF = g s u.
/// dg = dy u s (1 + g (1 − s)),   du = dy g s.
struct SwiGlu {
  static constexpr std::string_view kName = "swiglu";
  struct Saved {
    Tensor x_N2F;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_N2F) const;
  void backward(const Saved& saved, const Tensor& dy_NF, const Grad& dx_N2F) const;

  /// (x, y)
  static KernelSlot<void(const Tensor&, const Tensor&)> forward_kernel;
  /// (x, dy, dx), where dx is not absent
  static KernelSlot<void(const Tensor&, const Tensor&, const Grad&)> backward_kernel;
};

}  // namespace granule
