// When rows of sharded experts travel. tests/moe/ops/remote_experts_test.cpp and
// tests/moe/remote_experts_model_test.cpp compare what arrives.
#include "moe/ops/row_exchange.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// Two ranks with two experts each. Rank 0 has rows 0 … 3 for experts 0, 0, 2, 3; rank 1 has rows 10 … 12 for
/// experts 1, 2, 2.
const std::vector<std::int64_t> kCounts{2, 0, 1, 1, 0, 1, 2, 0};
Numbers rows_of(int rank) {
  return rank == 0 ? Numbers{0, 1, 2, 3} : Numbers{10, 11, 12};
}
/// On the rank of their experts, by expert and then by source.
Numbers placed_on(int rank) {
  return rank == 0 ? Numbers{0, 1, 10} : Numbers{2, 11, 12, 3};
}

Tensor column(Context& context, const Numbers& values) {
  return tensor_of(context, {std::ssize(values), 1}, DType::f64, values);
}

/// Waits for a thread that may never come.
bool comes(const std::atomic<bool>& flag) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!flag && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  return flag;
}

}  // namespace

TEST_CASE(
    "row_exchange: thread ranks get the rows of their experts in order, and outputs find the way back") {
  run_ranks(2, [](Communicator& ranks, Context& context) {
    RowExchange exchange(ranks, ExchangePlan(kCounts, 2, ranks.rank(), 0), 0);
    const Tensor own = column(context, rows_of(ranks.rank()));
    const Tensor placed =
        exchange.arrive(Leg::to_experts, exchange.depart(Leg::to_experts, own, "expert rows"));
    expect(values_of(placed) == placed_on(ranks.rank()), "placed by expert and source");
    const Tensor back =
        exchange.arrive(Leg::to_senders, exchange.depart(Leg::to_senders, placed, "expert outputs"));
    expect(values_of(back) == rows_of(ranks.rank()), "back in their places");
  });
}

TEST_CASE("row_exchange: a thread rank whose rows depart goes on while the others have not come") {
  for (const Leg leg : {Leg::to_experts, Leg::to_senders}) {
    std::atomic<bool> departed = false;
    run_ranks(2, [&](Communicator& ranks, Context& context) {
      RowExchange exchange(ranks, ExchangePlan(kCounts, 2, ranks.rank(), 0), 0);
      const int me = ranks.rank();
      const Tensor rows = column(context, leg == Leg::to_experts ? rows_of(me) : placed_on(me));
      // Rank 1 departs when rank 0 is already elsewhere.
      if (me == 1) expect(comes(departed), "rank 0 goes on");
      const Tensor under_way = exchange.depart(leg, rows, "expert rows");
      if (me == 0) departed = true;
      const Numbers arrived = values_of(exchange.arrive(leg, under_way));
      expect(arrived == (leg == Leg::to_experts ? placed_on(me) : rows_of(me)), "what arrives");
    });
  }
}

TEST_CASE("row_exchange: backward takes the same way in reverse, and its departures come first") {
  run_ranks(2, [](Communicator& ranks, Context& context) {
    const auto exchange = std::make_shared<RowExchange>(ranks, ExchangePlan(kCounts, 2, ranks.rank(), 0), 0);
    const int me = ranks.rank();
    const DepartRows out{exchange, Leg::to_experts};
    const ArriveRows in{exchange, Leg::to_experts};
    static_cast<void>(in.forward(out.forward(column(context, rows_of(me)))));
    const Tensor dx = out.backward(in.backward(column(context, placed_on(me))));
    expect(values_of(dx) == rows_of(me), "gradients of own rows");
    const auto sent = [&](std::string_view phase) {
      return ranks.ledger().bytes(CollectiveKind::all_to_all, phase);
    };
    expect(sent("expert rows") == 8 * (me == 0 ? 2 : 1), "rows for the other rank");
    expect(sent("expert row gradients") == 8 * (me == 0 ? 1 : 2), "gradients of its rows");
  });
}
