// The weights of the chosen experts' outputs.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// N tokens, K choices, E experts: score_NE, id_NK int32 (a plain argument, distinct within a row), w_NK.
///   w_nk = c s_n,id(n,k),   ds_n,id(n,k) = c dw_nk
/// If `normalise` is set and K > 1, with σ_n = Σ_k s_n,id(n,k) + 1e-20:
///   w_nk = c s_n,id(n,k) / σ_n,   ds_n,id(n,k) = (c dw_nk − ⟨w_n, dw_n⟩) / σ_n
/// ds is 0 for experts that were not chosen. With one expert, dividing its score by itself would leave the
/// router without a gradient. DeepSeekMoE's published model does not normalise then either, and
/// tests/reference/oracle.py follows it.
struct GateWeights {
  bool normalise = false;
  double factor = 1.0;  ///< c, which is routed_scaling_factor

  static constexpr std::string_view kName = "gate_weights";
  struct Saved {
    Tensor id_NK, w_NK, sum_N;  // sum_N only if normalised
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& score_NE, const Tensor& id_NK) const;
  void backward(const Saved& saved, const Tensor& dw_NK, const Grad& dscore_NE) const;

  struct ForwardArgs {
    Tensor score_NE, id_NK;
    double factor;
    Tensor w_NK;
    Tensor sum_N;  ///< undefined: the weights are not normalised
  };
  struct BackwardArgs {
    Tensor id_NK, w_NK, sum_N;
    double factor;
    Tensor dw_NK;
    Grad dscore_NE;
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
