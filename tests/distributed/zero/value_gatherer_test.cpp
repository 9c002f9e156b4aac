#include "distributed/zero/value_gatherer.hpp"

#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE(
    "value_gatherer: a unit has the values of all ranks while it is in use, and they are gathered once") {
  run_ranks(2, [](Communicator& world, Context& context) {
    Param w;
    ShardedStore sharded(context, world, ZeroStage::values, DType::f64, [&](ParameterStore& store) {
      w = store.declare("w", {100});  // a bucket of 128, of which each rank has 64
      store.next_unit();
      store.declare("v", {70});
    });
    ValueGatherer gatherer(context, sharded.mesh, sharded.store, sharded.parameters->plan());
    const auto gathers = [&] {
      std::int64_t calls = 0;
      for (const TrafficRow& row : world.ledger().traffic()) calls += row.phase == "values" ? row.calls : 0;
      return calls;
    };
    fill(gatherer.parts(), world.rank() + 1.0);
    gatherer.values_changed();
    expect(!w.value().defined(), "outside of its unit a parameter has no values");
    gatherer.enter(0, Direction::forward);
    Numbers expected(64, 1.0);
    expected.resize(100, 2.0);
    expect(values_of(w.value()) == expected, "the values of both ranks");
    expect(gathers() == 2, "the next unit is gathered early");
    gatherer.leave(0);
    expect(!w.value().defined(), "a unit that was left has no values");
    gatherer.enter(1, Direction::forward);
    gatherer.leave(1);
    gatherer.enter(1, Direction::backward);
    gatherer.leave(1);
    gatherer.enter(0, Direction::backward);
    expect(gathers() == 2, "what is in a slot is not gathered again");
    gatherer.leave(0);
    gatherer.values_changed();
    gatherer.enter(0, Direction::forward);
    expect(gathers() == 4, "values that have changed are");
    gatherer.leave(0);
    gatherer.values_changed();
  });
}
