// The logistic function of each element: the scores of DeepSeek-V3's router.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y = 1 / (1 + exp(−x)).   dx = y (1 − y) dy. Any shape.
struct Sigmoid {
  static constexpr std::string_view kName = "sigmoid";
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
