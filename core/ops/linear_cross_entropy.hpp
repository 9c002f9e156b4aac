// The head of the language model and its loss in one operator, so that only one chunk of logits exists at a
// time.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// A target with this value is ignored: it has no loss and no gradient.
inline constexpr std::int32_t kIgnoreTarget = -100;

/// With z_NV = x_ND w_VDᵀ, which is never held as a whole, and sums over the targets that are not ignored:
///   y = Σ_i [log Σ_v exp z_iv − z_{i, target_i}]
///   dz_iv = dy (softmax(z_i)_v − [v = target_i]),   dx = dz w,   dw = dzᵀ x
/// y is the sum and not the mean, because only the step knows by what to divide. It is float64 for every
/// dtype of x. In bf16, z and its softmax are f32, and dz is rounded before its products. target_N is int32,
/// in [0, V) or kIgnoreTarget. If gradients are wanted, forward saves dx and dw for dy = 1, so the logits are
/// not computed twice. Backward scales them.
struct LinearCrossEntropy {
  static constexpr std::string_view kName = "linear_cross_entropy";
  struct Saved {
    Tensor dx_ND, dw_VD;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_ND, const Tensor& w_VD,
                               const Tensor& target_N) const;
  void backward(const Saved& saved, const Tensor& w_VD, const Tensor& dy, const Grad& dx_ND,
                const Grad& dw_VD) const;

  struct ForwardArgs {
    Tensor x_ND, w_VD, target_N;
    Tensor dx_ND, dw_VD;  ///< for dy = 1; both undefined if no gradient is wanted
    Tensor y;
  };
  /// The destinations, either of which may be absent, get what forward saved times dy.
  struct BackwardArgs {
    Tensor saved_dx_ND, saved_dw_VD, dy;
    Grad dx_ND, dw_VD;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
