#include "distributed/zero/value_gatherer.hpp"

#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// The collectives under the name of "values" so far.
std::int64_t gathers_of(Communicator& world) {
  std::int64_t calls = 0;
  for (const TrafficRow& row : world.ledger().traffic()) calls += row.phase == "values" ? row.calls : 0;
  return calls;
}

}  // namespace

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
    const auto gathers = [&] { return gathers_of(world); };
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

TEST_CASE("value_gatherer: a step gathers a unit again only if another one has taken its slot") {
  run_ranks(2, [](Communicator& world, Context& context) {
    ShardedStore sharded(context, world, ZeroStage::values, DType::f64,
                         [](ParameterStore& store) { declare_odd(store, true); });
    ValueGatherer gatherer(context, sharded.mesh, sharded.store, sharded.parameters->plan());
    const auto pass = [&](std::int64_t unit, Direction direction) {
      gatherer.enter(unit, direction);
      gatherer.leave(unit);
    };
    const auto step = [&](int micro_batches) {
      gatherer.values_changed();
      const std::int64_t before = gathers_of(world);
      for (int i = 0; i < micro_batches; ++i) {
        for (std::int64_t unit = 0; unit < 4; ++unit) pass(unit, Direction::forward);
        for (std::int64_t unit = 4; unit-- > 0;) pass(unit, Direction::backward);
      }
      return gathers_of(world) - before;
    };
    // One slot holds layer a and then the last norm, another only layer b, and the third the embedding, which
    // is tied. Layers have two buckets, the others one. In each micro-batch the norm and then a come again;
    // the next forward pass finds a in its slot.
    expect(step(1) == 1 + 2 * 2 + 2 + 1, "one micro-batch: embedding, a twice, b, norm");
    expect(step(3) == 1 + 4 * 2 + 2 + 3, "three micro-batches: embedding, a four times, b, the norm thrice");
    // Units are gathered early, in the direction of the pass.
    gatherer.values_changed();
    const std::int64_t before = gathers_of(world);
    pass(0, Direction::forward);
    expect(gathers_of(world) - before == 1 + 2, "the embedding and layer a");
    pass(1, Direction::forward);
    expect(gathers_of(world) - before == 1 + 2 + 2, "layer b");
    gatherer.values_changed();
    pass(1, Direction::backward);
    expect(gathers_of(world) - before == 2 * (1 + 2) + 2, "layer a and the embedding");
    gatherer.values_changed();
  });
}
