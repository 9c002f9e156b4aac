// The operators of MoE modules, one line each.
#pragma once
#include "autograd/apply.hpp"
#include "autograd/hand_over.hpp"
#include "core/ops/softmax.hpp"
#include "moe/ops/balance_branch.hpp"
#include "moe/ops/balance_loss.hpp"
#include "moe/ops/expert_ffn.hpp"
#include "moe/ops/gate_weights.hpp"
#include "moe/ops/normalise_rows.hpp"
#include "moe/ops/permute.hpp"
#include "moe/ops/remote_experts.hpp"
#include "moe/ops/router_z.hpp"
#include "moe/ops/row_exchange.hpp"
#include "moe/ops/sigmoid.hpp"

namespace granule {

inline Var softmax(const Var& x) {
  return apply(Softmax{}, x);
}
inline Var sigmoid(const Var& x) {
  return apply(Sigmoid{}, x);
}
inline Var normalise_rows(const Var& scores) {
  return apply(NormaliseRows{}, scores);
}
inline Var gate_weights(const Var& scores, const Tensor& ids, GateWeights op) {
  return apply(op, scores, ids);
}
inline Var balance_branch(const Var& logits, const Tensor& x, const Tensor& share) {
  return apply(BalanceBranch{share}, logits, x);
}
inline Var balance_loss(const Var& scores, const Tensor& counts, const Tensor& valid, BalanceLoss op) {
  return apply(op, scores, counts, valid);
}
inline Var router_z(const Var& logits, const Tensor& valid) {
  return apply(RouterZ{}, logits, valid);
}
inline Var dispatch(const Var& x, const RowOrder& order) {
  return apply(Dispatch{}, x, order);
}
inline Var expert_ffn(const Var& x, const Param& w13, const Param& w2,
                      const std::vector<std::int64_t>& offsets) {
  return apply(ExpertFfn{}, x, w13, w2, offsets);
}
inline Var remote_experts(Communicator& ranks, const Var& x, const Param& w13, const Param& w2,
                          const ExchangePlan& plan) {
  return apply(RemoteExperts{&ranks}, x, w13, w2, plan);
}
inline Var depart_rows(const std::shared_ptr<RowExchange>& exchange, Leg leg, const Var& x) {
  return hand_over(DepartRows{exchange, leg}, x);
}
inline Var arrive_rows(const std::shared_ptr<RowExchange>& exchange, Leg leg, const Var& under_way) {
  return hand_over(ArriveRows{exchange, leg}, under_way);
}
inline Var combine(const Var& x, const Var& weights, const RowOrder& order) {
  return apply(Combine{}, x, weights, order);
}

}  // namespace granule
