// Operators as modules call them: recorded where a tape is current, one line each.
#pragma once
#include "autograd/apply.hpp"
#include "core/ops/add.hpp"
#include "core/ops/attention.hpp"
#include "core/ops/linear.hpp"
#include "core/ops/linear_cross_entropy.hpp"
#include "core/ops/rms_norm.hpp"

namespace granule {

/// a + b
[[nodiscard]] inline Var add(const Var& a, const Var& b) {
  return apply(Add{}, a, b);
}
/// x_ND w_OD^T
[[nodiscard]] inline Var linear(const Var& x_ND, Param w_OD) {
  return apply(Linear{}, x_ND, w_OD);
}
/// w ∘ x / sqrt(mean x² + eps), row by row
[[nodiscard]] inline Var rms_norm(const Var& x_ND, Param w_D, double eps) {
  return apply(RmsNorm{eps}, x_ND, w_D);
}
[[nodiscard]] inline Var attention(const Var& qkv, const Attention& op) {
  return apply(op, qkv);
}
[[nodiscard]] inline Var linear_cross_entropy(const Var& x, Param w, const Tensor& targets) {
  return apply(LinearCrossEntropy{}, x, w, targets);
}

}  // namespace granule
