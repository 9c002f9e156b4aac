// The language-model head and its loss in one: the logits exist for one chunk of rows at a time.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// A target that counts for nothing: no loss, no gradient.
inline constexpr std::int32_t kIgnoreTarget = -100;

/// z_NV = x_ND w_VDᵀ (never held whole),   y = Σ_i [log Σ_v exp z_iv − z_{i, target_i}]   over targets that
/// are not ignored
///   dz_iv = dy (softmax(z_i)_v − [v = target_i]),   dx = dz w,   dw = dzᵀ x
/// The sum, not the mean, and in float64 whatever the dtype of x: what to divide by is known to the step
/// alone. target_N int32, in [0, V) or kIgnoreTarget. With gradients wanted, forward leaves dx and dw for dy
/// = 1 behind, which saves computing the logits twice; backward scales them.
struct LinearCrossEntropy {
  static constexpr std::string_view kName = "linear_cross_entropy";
  struct Saved {
    Tensor dx_ND, dw_VD;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_ND, const Tensor& w_VD,
                               const Tensor& target_N) const;
  void backward(const Saved& saved, const Tensor& w_VD, const Tensor& dy, const Grad& dx_ND,
                const Grad& dw_VD) const;

  /// (x, w, target, saved or nullptr, y)
  static KernelSlot<void(const Tensor&, const Tensor&, const Tensor&, Saved*, const Tensor&)> forward_kernel;
  /// (saved, dy, dx, dw); either gradient may be absent
  static KernelSlot<void(const Saved&, const Tensor&, const Grad&, const Grad&)> backward_kernel;
};

}  // namespace granule
