// Dispatch copies tokens to rows sorted by expert. Combine adds the experts' outputs up again, weighted.
#pragma once
#include "moe/experts/row_order.hpp"

namespace granule {

/// y_r = x_token(r).   dx_n = Σ_k dy_row(n,k), in the order of k.   x_ND → y_RD, R rows sorted by expert.
struct Dispatch {
  static constexpr std::string_view kName = "dispatch";
  struct Saved {
    RowOrder order;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_ND, const RowOrder& order) const;
  void backward(const Saved& saved, const Tensor& dy_RD, const Grad& dx_ND) const;

  struct ForwardArgs {
    Tensor x_ND, token_R, y_RD;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
};

/// y_n = Σ_k w_nk x_row(n,k), in the order of k.   dx_row(n,k) = w_nk dy_n,   dw_nk = ⟨x_row(n,k), dy_n⟩.
/// A dropped copy adds nothing, and its weight gets no gradient.
struct Combine {
  static constexpr std::string_view kName = "combine";
  struct Saved {
    RowOrder order;
    Tensor x_RD, w_NK;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_RD, const Tensor& w_NK,
                               const RowOrder& order) const;
  void backward(const Saved& saved, const Tensor& dy_ND, const Grad& dx_RD, const Grad& dw_NK) const;

  struct BackwardArgs {
    Tensor x_RD, w_NK, row_NK, dy_ND;
    Grad dx_RD, dw_NK;  ///< either may be absent
  };
  static KernelSlot<BackwardArgs> backward_kernel;
};

/// y_n = Σ_k w_nk x_row(n,k) + beta y_n, which is Combine's forward. Without w_NK all weights are 1, which is
/// Dispatch's backward.
struct SumCopiesArgs {
  Tensor x_RD, w_NK, row_NK;
  Grad y_ND;
};
extern KernelSlot<SumCopiesArgs> sum_copies_kernel;

}  // namespace granule
