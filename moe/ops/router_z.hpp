// The z-loss of a router (ST-MoE, Zoph et al. 2022), unscaled: it keeps the logits small.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// For T valid tokens and z_n = log Σ_e exp l_ne:
///   y = mean over valid tokens of z_n², float64 [1];   dl_ne = dy · 2 z_n softmax(l_n)_e / T
/// y is 0 without a valid token, and dl is 0 for tokens that are not valid. logit_NE; valid_N is int32, a
/// plain argument: 0 marks padding, undefined: all are valid.
struct RouterZ {
  static constexpr std::string_view kName = "router_z";
  struct Saved {
    Tensor logit_NE, valid_N;
    Tensor z_N;  // float64
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& logit_NE, const Tensor& valid_N) const;
  void backward(const Saved& saved, const Tensor& dy, const Grad& dlogit_NE) const;

  struct ForwardArgs {
    Tensor logit_NE, valid_N, z_N, y;
  };
  struct BackwardArgs {
    Tensor logit_NE, valid_N, z_N, dy;
    Grad dlogit_NE;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
