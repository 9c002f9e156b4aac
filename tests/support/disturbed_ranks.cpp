#include "tests/support/disturbed_ranks.hpp"

#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "distributed/communicators/device_carrier.hpp"

namespace granule::test {
namespace {

template <class T>
std::span<T> values(std::byte* data, std::int64_t count) {
  return {reinterpret_cast<T*>(data), static_cast<std::size_t>(count)};
}

std::vector<std::int64_t> rows_of(const std::vector<std::int64_t>& elements, std::int64_t width) {
  std::vector<std::int64_t> rows;
  for (const std::int64_t count : elements) rows.push_back(width > 0 ? count / width : 0);
  return rows;
}

Pending all_reduce(Communicator& ranks, const Collective& call) {
  if (call.held_input.defined()) return ranks.all_reduce(call.held_input, call.phase);
  if (call.dtype == DType::f64) {
    return ranks.all_reduce(values<double>(call.output, call.count), call.reduce, call.phase);
  }
  return ranks.all_reduce(values<std::int64_t>(call.output, call.count), call.reduce, call.phase);
}

Pending all_gather(Communicator& ranks, const Collective& call) {
  if (call.held_input.defined()) return ranks.all_gather(call.held_input, call.held_output, call.phase);
  const std::span<const std::int64_t> mine(reinterpret_cast<const std::int64_t*>(call.input),
                                           static_cast<std::size_t>(call.count));
  return ranks.all_gather(mine, values<std::int64_t>(call.output, call.count * ranks.size()), call.phase);
}

/// Makes the call that led to this collective again.
Pending call_again(Communicator& ranks, const Collective& call) {
  switch (call.kind) {
    case CollectiveKind::all_reduce:
      return all_reduce(ranks, call);
    case CollectiveKind::reduce_scatter:
      return ranks.reduce_scatter(call.held_input, call.held_output, call.phase);
    case CollectiveKind::all_gather:
      return all_gather(ranks, call);
    case CollectiveKind::broadcast:
      return ranks.broadcast(call.held_input, call.root, call.phase);
    case CollectiveKind::all_to_all:
      return ranks.all_to_all(call.held_input, rows_of(call.input_counts, call.agreed), call.held_output,
                              rows_of(call.output_counts, call.agreed), call.phase);
    case CollectiveKind::gather:
      return ranks.gather(call.held_input, call.held_output, rows_of(call.output_counts, call.agreed),
                          call.root, call.phase);
    case CollectiveKind::barrier:
    case CollectiveKind::leave:
      break;
  }
  return ranks.barrier(call.phase);
}

class DisturbedOperation final : public Operation {
 public:
  explicit DisturbedOperation(Pending pending) : pending_(std::move(pending)) {}
  [[nodiscard]] bool poll() override { return pending_.poll(); }
  void wait() override { pending_.wait(); }

 private:
  Pending pending_;
};

/// The ranks' own ledger, which exists as long as they do.
std::shared_ptr<Ledger> ledger_of(const Communicator& ranks) {
  return {std::shared_ptr<Ledger>(), &ranks.ledger()};
}

}  // namespace

DisturbedRanks::DisturbedRanks(Communicator& ranks, Disturbance disturbance)
    : Communicator({ranks.name(), ranks.rank(), ranks.size(), ranks.world_rank()}, ledger_of(ranks)),
      ranks_(ranks),
      disturbance_(std::move(disturbance)) {}

DisturbedRanks::DisturbedRanks(std::unique_ptr<Communicator> ranks, Disturbance disturbance)
    : Communicator({ranks->name(), ranks->rank(), ranks->size(), ranks->world_rank()}, ledger_of(*ranks)),
      owned_(std::move(ranks)),
      ranks_(*owned_),
      disturbance_(std::move(disturbance)) {}

std::unique_ptr<Operation> DisturbedRanks::start(Collective collective, const Ticket&) {
  const Runs runs = disturbance_(collective, *this);
  if (runs == Runs::never) return nullptr;
  if (runs == Runs::twice) call_again(ranks_, collective).wait();
  return std::make_unique<DisturbedOperation>(call_again(ranks_, collective));
}

void DisturbedRanks::carry_tensors_by(std::unique_ptr<DeviceCarrier> carrier) {
  ranks_.carry_tensors_by(std::move(carrier));
}

std::unique_ptr<Communicator> DisturbedRanks::form(const Group& group) {
  return std::make_unique<DisturbedRanks>(ranks_.split(group.seat_of, group.place.group), disturbance_);
}

Disturbance random_pauses(std::uint64_t seed, int rank) {
  const auto random = std::make_shared<std::mt19937_64>(seed * 1000 + static_cast<std::uint64_t>(rank));
  return [random](const Collective&, const Communicator&) {
    // Most draws give no pause. So ranks meet in any order, and sometimes one is late by many collectives of
    // the others.
    const auto draw = (*random)() % 16;
    if (draw < 4) std::this_thread::sleep_for(std::chrono::microseconds((*random)() % 300));
    if (draw == 4) std::this_thread::yield();
    return Runs::once;
  };
}

}  // namespace granule::test
