// Dispatch copies tokens to rows sorted by expert. Combine adds the experts' outputs up again, weighted.
#pragma once
#include "moe/routing/routing.hpp"

namespace granule {

/// y_r = x_token(r).   dx_n = Σ_k dy_row(n,k), in the order of k.   x_ND → y_RD, R rows sorted by expert.
struct Dispatch {
  static constexpr std::string_view kName = "dispatch";
  struct Saved {
    Routing routing;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_ND, const Routing& routing) const;
  void backward(const Saved& saved, const Tensor& dy_RD, Grad dx_ND) const;
};

/// y_n = Σ_k w_nk x_row(n,k), in the order of k.   dx_row(n,k) = w_nk dy_n,   dw_nk = ⟨x_row(n,k), dy_n⟩.
/// A dropped copy adds nothing, and its weight gets no gradient.
struct Combine {
  static constexpr std::string_view kName = "combine";
  struct Saved {
    Routing routing;
    Tensor x_RD, w_NK;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_RD, const Tensor& w_NK,
                               const Routing& routing) const;
  void backward(const Saved& saved, const Tensor& dy_ND, const Grad& dx_RD, const Grad& dw_NK) const;
};

}  // namespace granule
