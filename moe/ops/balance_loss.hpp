// The expert-level balance loss (paper eq. 12–14), unscaled.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// Of each unit u, a run of T = N / U rows:   f_ue = E / (K T) · count_ue,   P_ue = mean_t s_te,   L_u = Σ_e
/// f_ue P_ue y = mean_u L_u, float64 [1]; 1 where the load is balanced.   ds_te = dy f_ue / (T U). A unit is
/// a sequence (the paper's T) or a whole micro-batch (the reference's "token-level" form). Counts are
/// constants: the gradient flows through P alone. N tokens, E experts: score_NE; count_UE int64, of K choices
/// a token, counted in this unit alone (a plain argument).
struct BalanceLoss {
  std::int64_t choices;  ///< K

  static constexpr std::string_view kName = "balance_loss";
  struct Saved {
    Tensor fraction_UE;  // f, float64
    std::int64_t tokens = 0;
    DType dtype = DType::f32;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& score_NE, const Tensor& count_UE) const;
  void backward(const Saved& saved, const Tensor& dy, Grad dscore_NE) const;
};

}  // namespace granule
