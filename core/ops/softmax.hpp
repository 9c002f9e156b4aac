// The softmax of each row: the scores of a router.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_ij = exp x_ij / Σ_k exp x_ik.   dx = y ∘ (dy − ⟨y, dy⟩), row by row. x_NE, y_NE with E > 0.
struct Softmax {
  static constexpr std::string_view kName = "softmax";
  struct Saved {
    Tensor y_NE;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_NE) const;
  void backward(const Saved& saved, const Tensor& dy_NE, const Grad& dx_NE) const;

  struct ForwardArgs {
    Tensor x, y;
  };
  struct BackwardArgs {
    Tensor y, dy;
    Grad dx;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
