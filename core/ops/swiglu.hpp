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

  struct ForwardArgs {
    Tensor x_N2F, y_NF;
  };
  struct BackwardArgs {
    Tensor x_N2F, dy_NF;
    Grad dx_N2F;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
