// y = a − b, element by element.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_i = a_i − b_i, shapes and dtypes equal.   da = dy,   db = −dy.
struct Sub {
  static constexpr std::string_view kName = "sub";
  struct Saved {};

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& a, const Tensor& b) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const;

  struct ForwardArgs {
    Tensor a, b, y;
  };
  struct BackwardArgs {
    Tensor dy;
    Grad db;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
