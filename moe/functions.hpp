// The vocabulary of mixture-of-experts modules: one line an operator.
#pragma once
#include "autograd/apply.hpp"
#include "core/ops/softmax.hpp"
#include "moe/ops/balance_loss.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "moe/ops/gate_weights.hpp"
#include "moe/ops/permute.hpp"

namespace granule {

inline Var softmax(const Var& x) {
  return apply(Softmax{}, x);
}
inline Var gate_weights(const Var& scores, const Tensor& ids, bool normalise) {
  return apply(GateWeights{normalise}, scores, ids);
}
inline Var balance_loss(const Var& scores, const Tensor& counts, std::int64_t choices) {
  return apply(BalanceLoss{choices}, scores, counts);
}
inline Var dispatch(const Var& x, const Routing& routing) {
  return apply(Dispatch{}, x, routing);
}
inline Var expert_ffn(const Var& x, const Param& w13, const Param& w2, const Tensor& offsets) {
  return apply(ExpertFfn{}, x, w13, w2, offsets);
}
inline Var combine(const Var& x, const Var& weights, const Routing& routing) {
  return apply(Combine{}, x, weights, routing);
}

}  // namespace granule
