// The SwiGLU networks of all experts over rows sorted by expert, as one operator. It has no padding and drops
// no rows.
#pragma once
#include <span>
#include <vector>

#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// For every row r of expert e:
///   [g | u]_r = w13_e x_r,   a_r = silu(g_r) ∘ u_r,   y_r = w2_e a_r
///   da = w2ᵀ dy,   d[g|u] by the SwiGLU,   dx = w13ᵀ d[g|u]
///   dw2_e = Σ_r dy_r a_rᵀ,   dw13_e = Σ_r d[g|u]_r x_rᵀ
/// R rows, E experts, D model, F expert width: x_RD, w13_EGD with G = 2F (gate above up), w2_EDF, y_RD.
/// Expert e owns rows [offset[e], offset[e + 1]). If it owns none, its gradients are zero. The offsets are in
/// host memory, because they are the sizes of the products.
struct ExpertFfn {
  static constexpr std::string_view kName = "expert_ffn";
  struct Saved {
    Tensor x_RD, h_RG;
    std::vector<std::int64_t> offset_E1;
  };
  [[nodiscard]] Tensor forward(Saved* saved, const Tensor& x_RD, const Tensor& w13_EGD, const Tensor& w2_EDF,
                               const std::vector<std::int64_t>& offset_E1) const;
  void backward(const Saved& saved, const Tensor& w13_EGD, const Tensor& w2_EDF, const Tensor& dy_RD,
                const Grad& dx_RD, const Grad& dw13_EGD, const Grad& dw2_EDF) const;

  struct ForwardArgs {
    Tensor x_RD, w13_EGD, w2_EDF;
    std::span<const std::int64_t> offset_E1;
    Tensor h_RG, y_RD;
  };
  struct BackwardArgs {
    Tensor x_RD, h_RG;
    std::span<const std::int64_t> offset_E1;
    Tensor w13_EGD, w2_EDF, dy_RD;
    Grad dx_RD, dw13_EGD, dw2_EDF;  ///< any may be absent
  };
  static KernelSlot<ForwardArgs> forward_kernel;
  static KernelSlot<BackwardArgs> backward_kernel;
};

}  // namespace granule
