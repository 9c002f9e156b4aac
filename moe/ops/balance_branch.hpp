// Where the balance losses leave the router's logits: the same numbers, with the losses' gradient measured on
// its way back.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// y = l.   dl = dy, and share += dyᵀ x: the part of the router's weight gradient that the losses behind this
/// branch make. logit_NE, y_NE; x_ND what the logits were made of (a plain argument); share_ED, absent where
/// nobody asks.
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
