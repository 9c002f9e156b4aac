// Root mean square normalisation (Zhang & Sennrich 2019, arXiv 1910.07467). The order of operations is the
// reference's: normalise first, then multiply by the weight. N rows (tokens), D model.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// y_ij = w_j x_ij r_i,   r_i = 1 / sqrt(mean_j x_ij² + eps).
/// dx_i = r_i (w∘dy_i) − x_i r_i³ ⟨w∘dy_i, x_i⟩ / D,   dw_j = Σ_i dy_ij x_ij r_i.
/// Sums over a row are float64. dw sums kRows rows at a time and then these sums, so its order depends on N
/// alone.
struct RmsNorm {
  static constexpr std::string_view kName = "rms_norm";
  static constexpr std::int64_t kRows = 64;
  double eps = 1e-6;
  struct Saved {
    Tensor x_ND;
    Tensor r_N;  // wide_of(the dtype of x)
  };

  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_ND, const Tensor& w_D) const;
  void backward(const Saved& saved, const Tensor& w_D, const Tensor& dy_ND, const Grad& dx_ND,
                const Grad& dw_D) const;

  struct ForwardArgs {
    Tensor x_ND, w_D;
    double eps;
    Tensor y_ND, r_N;
  };
  struct BackwardArgs {
    Tensor x_ND, r_N, w_D, dy_ND;
    Grad dx_ND, dw_D;  ///< either may be absent
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
