#include "moe/ops/row_exchange.hpp"

#include <utility>

namespace granule {
namespace {

Tensor rows_beside(const Tensor& like_RD, std::int64_t rows,
                   MemoryCategory category = MemoryCategory::scratch) {
  return Tensor::empty(like_RD.context(), {rows, like_RD.shape()[1]}, like_RD.dtype(), category);
}

Leg other(Leg leg) {
  return leg == Leg::to_experts ? Leg::to_senders : Leg::to_experts;
}

}  // namespace

RowExchange::RowExchange(Communicator& ranks, const ExchangePlan& plan, std::int64_t index)
    : ranks_(ranks), round_(plan.round(index)) {}

Tensor RowExchange::depart(Leg leg, Tensor x, Phase phase) {
  if (leg == Leg::to_senders) {
    const Tensor replies = rows_beside(x, round_.received());
    copy_runs(x, reversed(round_.placed), {replies, 0.0});
    x = {};
    Tensor returned = rows_beside(replies, round_.sent(), MemoryCategory::activations);
    pending_ = ranks_.all_to_all(replies, round_.receive_rows, returned, round_.send_rows, phase);
    return returned;
  }
  // A round that sends all own rows sends them in the order that they have.
  if (round_.sent() != x.shape()[0]) {
    const Tensor packed = rows_beside(x, round_.sent());
    copy_runs(x, round_.packed, {packed, 0.0});
    x = packed;
  }
  Tensor received = rows_beside(x, round_.received());
  pending_ = ranks_.all_to_all(x, round_.send_rows, received, round_.receive_rows, phase);
  return received;
}

Tensor RowExchange::arrive(Leg leg, const Tensor& under_way) {
  // Afterwards nobody holds the buffer that was sent.
  std::exchange(pending_, {}).wait();
  if (leg == Leg::to_senders) return under_way;
  Tensor placed = rows_beside(under_way, round_.received(), MemoryCategory::activations);
  copy_runs(under_way, round_.placed, {placed, 0.0});
  return placed;
}

Tensor DepartRows::forward(const Tensor& x) const {
  return exchange->depart(leg, x, leg == Leg::to_experts ? Phase("expert rows") : Phase("expert outputs"));
}

Tensor DepartRows::backward(const Tensor& dy) const {
  return exchange->arrive(other(leg), dy);
}

Tensor ArriveRows::forward(const Tensor& x) const {
  return exchange->arrive(leg, x);
}

Tensor ArriveRows::backward(const Tensor& dy) const {
  return exchange->depart(
      other(leg), dy,
      leg == Leg::to_experts ? Phase("expert row gradients") : Phase("expert output gradients"));
}

}  // namespace granule
