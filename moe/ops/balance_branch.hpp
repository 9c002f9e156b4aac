// The branch from the router's logits to the balance losses. It passes the numbers unchanged, and measures
// the gradient of the losses on the way back.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// y = l.   dl = dy, and share += dyᵀ x.
/// share_ED is the part of the router's weight gradient that the losses after this branch contribute. It is
/// absent if nobody wants it. x_ND is what the logits were computed from, a plain argument. The others are
/// logit_NE and y_NE.
struct BalanceBranch {
  Tensor share_ED{};

  static constexpr std::string_view kName = "balance_branch";
  struct Saved {
    Tensor x_ND;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& logit_NE, const Tensor& x_ND) const;
  void backward(const Saved& saved, const Tensor& dy_NE, const Grad& dlogit_NE) const;
};

}  // namespace granule
