// The weights with which the chosen experts' outputs are mixed.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// w_nk = c s_n,id(n,k), divided by Σ_k s_n,id(n,k) + 1e-20 where `normalise` is set and K > 1: with one
/// expert the division would be by itself and leave the router without a gradient (DeepSeekMoE's published
/// model does the same; tests/reference/oracle.py follows it). The factor c multiplies after the
/// normalisation.
///   ds_n,id(n,k) = c dw_nk, or (c dw_nk − ⟨w_n, dw_n⟩) / (Σ s + 1e-20) when normalised; 0 for experts not
///   chosen.
/// N tokens, K choices, E experts: score_NE, id_NK int32 (a plain argument, distinct within a row), w_NK.
struct GateWeights {
  bool normalise = false;
  double factor = 1.0;  ///< c: routed_scaling_factor

  static constexpr std::string_view kName = "gate_weights";
  struct Saved {
    Tensor id_NK, w_NK, sum_N;  // sum_N only where normalised
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& score_NE, const Tensor& id_NK) const;
  void backward(const Saved& saved, const Tensor& dw_NK, Grad dscore_NE) const;
};

}  // namespace granule
