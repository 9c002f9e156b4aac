// The balance losses over experts (paper eq. 12–14) and devices (eq. 15–17), unscaled.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// For each unit u, a run of N / U rows of which T are tokens:
///   f_ue = E / (K T) · count_ue,   P_ue = mean_t s_te,   L_u = Σ_e f̄_ue P_ue,   y = mean_u L_u, float64 [1]
///   ds_te = dy f̄_ue / (T U)
/// f̄ is f. For the loss over devices it is the mean of f over the experts of e's device, which gives the
/// paper's Σ_d f'_d P'_d. y is 1 if the load is balanced. It is 0 for a unit without a token, and if there is
/// no unit. A unit is a sequence (the paper's T) or a whole micro-batch (the reference's "token-level" form).
/// Counts are constants, so the gradient flows through P alone. N rows, E experts: score_NE. The plain
/// arguments are count_UE (int64, with K choices of each token, counted in this unit alone) and valid_N
/// (int32; 0 marks padding, undefined: none).
struct BalanceLoss {
  std::int64_t choices;      ///< K
  std::int64_t devices = 0;  ///< groups of consecutive experts; 0: every expert by itself

  static constexpr std::string_view kName = "balance_loss";
  struct Saved {
    Tensor weight_UE;  // ds_te / dy, float64
    Tensor valid_N;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& score_NE, const Tensor& count_UE,
                               const Tensor& valid_N) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& dscore_NE) const;

  struct ForwardArgs {
    Tensor score_NE, count_UE, valid_N;
    std::int64_t choices, devices;
    Tensor weight_UE, y;
  };
  struct BackwardArgs {
    Tensor weight_UE, valid_N, dy;
    Grad dscore_NE;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
