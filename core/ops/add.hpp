// y = a + b: the residual connection.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_i = a_i + b_i, shapes and dtypes equal.   da = dy,   db = dy.
struct Add {
  static constexpr std::string_view kName = "add";
  static constexpr bool kPassesGradientOn = true;
  struct Saved {};

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& a, const Tensor& b) const;

  struct ForwardArgs {
    Tensor a, b, y;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
};

}  // namespace granule
