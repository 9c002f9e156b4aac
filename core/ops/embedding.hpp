// Rows of a table by id. V rows of the table (vocabulary), D model, N ids (tokens).
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_i = w_{id_i} for ids (i32) in [0, V); others are refused.   dw_v = Σ_{i: id_i = v} dy_i, in the order of
/// i.
struct Embedding {
  static constexpr std::string_view kName = "embedding";
  struct Saved {
    Tensor id_N;
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& w_VD, const Tensor& id_N) const;
  void backward(const Saved& saved, const Tensor& w_VD, const Tensor& dy_ND, const Grad& dw_VD) const;

  /// The kernel checks the range of the ids.
  struct ForwardArgs {
    Tensor w_VD, id_N, y_ND;
  };
  /// It adds to dw.
  struct BackwardArgs {
    Tensor id_N, dy_ND, dw_VD;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
