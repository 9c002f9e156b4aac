#include "moe/ops/remote_experts.hpp"

#include <utility>

#include "moe/ops/row_exchange.hpp"

namespace granule {
namespace {

/// Own rows to their experts, in one go.
Tensor to_experts(RowExchange& exchange, const Tensor& own_RD, Phase phase) {
  // A statement of its own: what was packed lives until the statement ends.
  const Tensor under_way = exchange.depart(Leg::to_experts, own_RD, phase);
  return exchange.arrive(Leg::to_experts, under_way);
}

/// The way back: `own_RD` gets the rows of this round.
void to_senders(RowExchange& exchange, Tensor placed_WD, Phase phase, const Grad& own_RD) {
  const Tensor under_way = exchange.depart(Leg::to_senders, std::move(placed_WD), phase);
  const Tensor returned = exchange.arrive(Leg::to_senders, under_way);
  copy_runs(returned, reversed(exchange.round().packed), own_RD);
}

/// Where round `index` of a weight's gradient goes. Later rounds add to the first.
Grad of_round(const Grad& dw, std::int64_t index) {
  return {dw.dst, index == 0 ? dw.beta : 1.0};
}

void check(const Communicator* ranks, const Tensor& x, const Tensor& w13, const ExchangePlan& plan) {
  GRANULE_CHECK(ranks != nullptr && ranks->size() == plan.ranks(), "remote_experts: a plan of {} ranks",
                plan.ranks());
  GRANULE_CHECK(plan.rows() == x.shape()[0], "remote_experts: {} rows, a plan of {}", x.shape()[0],
                plan.rows());
  GRANULE_CHECK(plan.local_experts() == w13.shape()[0], "remote_experts: {} experts here, a plan of {}",
                w13.shape()[0], plan.local_experts());
}

}  // namespace

Tensor RemoteExperts::forward(Saved* saved, const Tensor& x_RD, const Tensor& w13_LGD, const Tensor& w2_LDF,
                              const ExchangePlan& plan) const {
  check(ranks, x_RD, w13_LGD, plan);
  Tensor y = x_RD.empty_like(x_RD.shape());
  for (std::int64_t i = 0; i < plan.rounds(); ++i) {
    RowExchange exchange(*ranks, plan, i);
    Tensor computed = ExpertFfn{}.forward(nullptr, to_experts(exchange, x_RD, "expert rows"), w13_LGD, w2_LDF,
                                          exchange.round().offset_L1);
    to_senders(exchange, std::move(computed), "expert outputs", {y, 0.0});
  }
  if (saved != nullptr) *saved = {plan, x_RD};
  return y;
}

void RemoteExperts::backward(const Saved& saved, const Tensor& w13_LGD, const Tensor& w2_LDF,
                             const Tensor& dy_RD, const Grad& dx_RD, const Grad& dw13_LGD,
                             const Grad& dw2_LDF) const {
  for (std::int64_t i = 0; i < saved.plan.rounds(); ++i) {
    RowExchange exchange(*ranks, saved.plan, i);
    ExpertFfn::Saved received;
    static_cast<void>(ExpertFfn{}.forward(&received, to_experts(exchange, saved.x_RD, "expert rows"), w13_LGD,
                                          w2_LDF, exchange.round().offset_L1));
    const Tensor dy = to_experts(exchange, dy_RD, "expert output gradients");
    Tensor dx = dx_RD ? dy.empty_like(dy.shape()) : Tensor{};
    ExpertFfn{}.backward(received, w13_LGD, w2_LDF, dy, {dx, 0.0}, of_round(dw13_LGD, i),
                         of_round(dw2_LDF, i));
    received = {};
    if (dx_RD) to_senders(exchange, std::move(dx), "expert row gradients", dx_RD);
  }
}

std::vector<std::int64_t> gather_counts(Communicator& ranks, const RowOrder& order) {
  const auto offset = order.offset_E1.get();
  std::vector<std::int64_t> mine;
  for (std::size_t e = 0; e + 1 < offset.size(); ++e) mine.push_back(offset[e + 1] - offset[e]);
  std::vector<std::int64_t> count_SE(mine.size() * static_cast<std::size_t>(ranks.size()));
  ranks.all_gather(mine, count_SE, "expert counts").wait();
  return count_SE;
}

}  // namespace granule
