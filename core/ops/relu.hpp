// The rectifier (Nair & Hinton 2010), element by element.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_i = max(x_i, 0);   dx_i = dy_i where x_i > 0, else 0 (also at 0, as in PyTorch). NaN stays NaN.
struct Relu {
  static constexpr std::string_view kName = "relu";
  struct Saved {
    Tensor y;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& dx) const;

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
