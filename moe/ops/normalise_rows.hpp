// Scores over their sum: what a balance loss takes for probabilities where the scores are none.
#pragma once
#include "core/tensor.hpp"

namespace granule {

/// p_ij = s_ij / σ_i with σ_i = Σ_k s_ik + 1e-20 (DeepSeek-V3, arXiv 2412.19437).   ds = (dp − ⟨p, dp⟩) / σ,
/// row by row. s_NE not negative, p_NE.
struct NormaliseRows {
  static constexpr std::string_view kName = "normalise_rows";
  struct Saved {
    Tensor p_NE, sum_N;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& s_NE) const;
  void backward(const Saved& saved, const Tensor& dp_NE, const Grad& ds_NE) const;
};

}  // namespace granule
