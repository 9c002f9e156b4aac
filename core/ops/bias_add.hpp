// A bias on every row. N rows (tokens), O columns.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_ij = x_ij + b_j.   dx = dy,   db_j = Σ_i dy_ij.
/// db sums 64 rows at a time and then these sums, so its order depends on N alone.
struct BiasAdd {
  static constexpr std::string_view kName = "bias_add";
  static constexpr std::int64_t kRows = 64;
  struct Saved {};

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_NO, const Tensor& b_O) const;
  void backward(const Saved& saved, const Tensor& b_O, const Tensor& dy_NO, const Grad& dx_NO,
                const Grad& db_O) const;

  struct ForwardArgs {
    Tensor x_NO, b_O, y_NO;
  };
  struct BackwardArgs {
    Tensor dy_NO;
    Grad db_O;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
