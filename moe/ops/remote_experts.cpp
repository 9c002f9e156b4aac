#include "moe/ops/remote_experts.hpp"

#include <algorithm>

namespace granule {
namespace {

std::vector<RowRun> reversed(std::vector<RowRun> runs) {
  for (RowRun& run : runs) std::swap(run.from, run.to);
  return runs;
}

Tensor rows_beside(const Tensor& like_RD, std::int64_t rows,
                   MemoryCategory category = MemoryCategory::scratch) {
  return Tensor::empty(like_RD.context(), {rows, like_RD.shape()[1]}, like_RD.dtype(), category);
}

/// One round of the exchange. It moves the `sent` rows of a sender.
struct Exchange {
  Communicator& ranks;
  ExchangeRound round;
  Exchange(Communicator& communicator, const ExchangePlan& plan, std::int64_t index)
      : ranks(communicator), round(plan.round(index)) {}

  /// Whether this round sends all own rows. They are then already in the order in which they are sent.
  [[nodiscard]] bool is_whole(const Tensor& own_RD) const { return round.sent() == own_RD.shape()[0]; }

  /// Sends own rows. Returns the rows of all senders, sorted by local expert.
  [[nodiscard]] Tensor to_experts(const Tensor& own_RD, Phase phase) const {
    Tensor packed = own_RD;
    if (!is_whole(own_RD)) {
      packed = rows_beside(own_RD, round.sent());
      copy_runs(own_RD, round.packed, {packed, 0.0});
    }
    const Tensor received = rows_beside(own_RD, round.received());
    ranks.all_to_all(packed, round.send_rows, received, round.receive_rows, phase).wait();
    packed = {};
    Tensor placed = rows_beside(own_RD, round.received(), MemoryCategory::activations);
    copy_runs(received, round.placed, {placed, 0.0});
    return placed;
  }

  /// The way back: `own_RD` gets the rows of this round.
  void to_senders(Tensor placed_WD, Phase phase, const Grad& own_RD) const {
    const Tensor replies = rows_beside(placed_WD, round.received());
    copy_runs(placed_WD, reversed(round.placed), {replies, 0.0});
    placed_WD = {};
    const bool direct = is_whole(own_RD.dst) && own_RD.beta == 0.0;
    const Tensor arrived = direct ? own_RD.dst : rows_beside(replies, round.sent());
    ranks.all_to_all(replies, round.receive_rows, arrived, round.send_rows, phase).wait();
    if (!direct) copy_runs(arrived, reversed(round.packed), own_RD);
  }
};

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
  const bool keep = saved != nullptr && plan.rounds() == 1;
  for (std::int64_t i = 0; i < plan.rounds(); ++i) {
    const Exchange exchange(*ranks, plan, i);
    Tensor computed =
        ExpertFfn{}.forward(keep ? &saved->received : nullptr, exchange.to_experts(x_RD, "expert rows"),
                            w13_LGD, w2_LDF, exchange.round.offset_L1);
    exchange.to_senders(std::move(computed), "expert outputs", {y, 0.0});
  }
  if (saved != nullptr) saved->plan = plan;
  if (saved != nullptr && !keep) saved->x_RD = x_RD;
  return y;
}

void RemoteExperts::backward(const Saved& saved, const Tensor& w13_LGD, const Tensor& w2_LDF,
                             const Tensor& dy_RD, const Grad& dx_RD, const Grad& dw13_LGD,
                             const Grad& dw2_LDF) const {
  for (std::int64_t i = 0; i < saved.plan.rounds(); ++i) {
    const Exchange exchange(*ranks, saved.plan, i);
    ExpertFfn::Saved received = saved.received;
    if (saved.plan.rounds() > 1) {
      static_cast<void>(ExpertFfn{}.forward(&received, exchange.to_experts(saved.x_RD, "expert rows"),
                                            w13_LGD, w2_LDF, exchange.round.offset_L1));
    }
    const Tensor dy = exchange.to_experts(dy_RD, "expert output gradients");
    Tensor dx = dx_RD ? dy.empty_like(dy.shape()) : Tensor{};
    ExpertFfn{}.backward(received, w13_LGD, w2_LDF, dy, {dx, 0.0}, of_round(dw13_LGD, i),
                         of_round(dw2_LDF, i));
    received = {};
    if (dx_RD) exchange.to_senders(std::move(dx), "expert row gradients", dx_RD);
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
