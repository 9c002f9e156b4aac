// Operators as modules call them. Each is one line, and is recorded if a tape is current.
#pragma once
#include "autograd/apply.hpp"
#include "autograd/hand_over.hpp"
#include "core/ops/add.hpp"
#include "core/ops/attention.hpp"
#include "core/ops/bias_add.hpp"
#include "core/ops/embedding.hpp"
#include "core/ops/gelu.hpp"
#include "core/ops/linear.hpp"
#include "core/ops/linear_cross_entropy.hpp"
#include "core/ops/mse.hpp"
#include "core/ops/mul.hpp"
#include "core/ops/relu.hpp"
#include "core/ops/rms_norm.hpp"
#include "core/ops/rope.hpp"
#include "core/ops/sub.hpp"
#include "core/ops/swiglu.hpp"

namespace granule {

/// a + b
[[nodiscard]] inline Var add(const Var& a, const Var& b) {
  return apply(Add{}, a, b);
}
/// a − b
[[nodiscard]] inline Var sub(const Var& a, const Var& b) {
  return apply(Sub{}, a, b);
}
/// a ∘ b
[[nodiscard]] inline Var mul(const Var& a, const Var& b) {
  return apply(Mul{}, a, b);
}
/// max(x, 0)
[[nodiscard]] inline Var relu(const Var& x) {
  return apply(Relu{}, x);
}
/// x Φ(x), or the approximation that PyTorch has under the same name
[[nodiscard]] inline Var gelu(const Var& x, GeluApproximate approximate = GeluApproximate::none) {
  return apply(Gelu{approximate}, x);
}
/// The mean of (prediction − target)² over all elements, [1] in float64
[[nodiscard]] inline Var mse(const Var& prediction, const Var& target) {
  return apply(Mse{}, prediction, target);
}
/// x_NO + b_O, on every row
[[nodiscard]] inline Var bias_add(const Var& x_NO, Param b_O) {
  return apply(BiasAdd{}, x_NO, b_O);
}
/// w_VD's rows id_N
[[nodiscard]] inline Var embedding(Param w_VD, const Tensor& id_N) {
  return apply(Embedding{}, w_VD, id_N);
}
/// x_ND w_OD^T
[[nodiscard]] inline Var linear(const Var& x_ND, Param w_OD, LinearMap op = {}) {
  return apply(op, x_ND, w_OD);
}
/// w ∘ x / sqrt(mean x² + eps), row by row
[[nodiscard]] inline Var rms_norm(const Var& x_ND, Param w_D, double eps) {
  return apply(RmsNorm{eps}, x_ND, w_D);
}
/// Every token sees all tokens before it and itself, or those from first_key_N on
[[nodiscard]] inline Var attention(const Var& qkv, const Attention& op, const Tensor& first_key_N = {}) {
  return apply(op, qkv, first_key_N);
}
[[nodiscard]] inline Var linear_cross_entropy(const Var& x, Param w, const Tensor& targets) {
  return apply(LinearCrossEntropy{}, x, w, targets);
}
/// Rotates the first `heads` blocks of columns by their row's position, in place if nobody else has x
[[nodiscard]] inline Var rope(Var x_NW, const RopeTable& table, const Tensor& position_N,
                              std::int64_t heads) {
  return hand_over(Rope{heads, table, position_N}, std::move(x_NW));
}
/// silu(g) ∘ u of x_N2F = [g | u]
[[nodiscard]] inline Var swiglu(const Var& x_N2F) {
  return apply(SwiGlu{}, x_N2F);
}

}  // namespace granule
