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

  /// (w, id, y); checks the range of the ids
  static KernelSlot<void(const Tensor&, const Tensor&, const Tensor&)> forward_kernel;
  /// (id, dy, dw), where dw is not absent
  static KernelSlot<void(const Tensor&, const Tensor&, const Grad&)> backward_kernel;
};

}  // namespace granule
