// y = a ∘ b: the product, element by element.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_i = a_i b_i, shapes and dtypes equal.   da = dy ∘ b,   db = dy ∘ a.
struct Mul {
  static constexpr std::string_view kName = "mul";
  struct Saved {
    Tensor a, b;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& a, const Tensor& b) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& da, const Grad& db) const;

  /// Both directions use this product.
  struct Args {
    Tensor a, b;
    Grad y;
  };
  static KernelSlot<Args> kernel;
};

}  // namespace granule
