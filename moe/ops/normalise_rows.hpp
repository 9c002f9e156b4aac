// Scores over their sum. If the scores are no probabilities, a balance loss uses these instead.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// With σ_i = Σ_k s_ik + 1e-20 (DeepSeek-V3, arXiv 2412.19437), row by row:
///   p_ij = s_ij / σ_i,   ds = (dp − ⟨p, dp⟩) / σ
/// s_NE is not negative, and p_NE has its shape.
struct NormaliseRows {
  static constexpr std::string_view kName = "normalise_rows";
  struct Saved {
    Tensor p_NE, sum_N;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& s_NE) const;
  void backward(const Saved& saved, const Tensor& dp_NE, const Grad& ds_NE) const;

  struct ForwardArgs {
    Tensor s_NE, p_NE, sum_N;
  };
  struct BackwardArgs {
    Tensor p_NE, sum_N, dp_NE;
    Grad ds_NE;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
