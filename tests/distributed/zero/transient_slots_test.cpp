#include "distributed/zero/transient_slots.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/test_context.hpp"

using namespace granule;
using namespace granule::test;

namespace {

/// How often each group is gathered in a step of this many micro-batches, by group.
std::vector<std::int64_t> gathers_of_step(const TransientPlan& plan, std::int64_t micro_batches) {
  std::vector<std::int64_t> times(plan.groups.size());
  SlotSchedule schedule(plan);
  const std::int64_t units = std::ssize(plan.of_unit);
  const auto count = [&](std::int64_t unit, Direction direction) {
    for (const std::size_t group : schedule.enter(unit, direction)) ++times[group];
  };
  for (std::int64_t micro = 0; micro < micro_batches; ++micro) {
    for (std::int64_t unit = 0; unit < units; ++unit) count(unit, Direction::forward);
    for (std::int64_t unit = units; unit-- > 0;) count(unit, Direction::backward);
  }
  return times;
}

}  // namespace

TEST_CASE("transient_slots: two units in a row are never in one slot, and a shared bucket has its own") {
  for (const bool tied : {false, true}) {
    ParameterStore store;
    declare_odd(store, tied);
    store.lay_out({2, 2});
    const ShardPlan plan = make_shard_plan(store, {2, 1, 0});
    const TransientPlan transient = make_transient_plan(plan, store.units(), plan.shards.size());
    for (std::size_t i = 0; i < plan.shards.size(); ++i) {
      const Bucket& bucket = plan.shards[i].bucket;
      CHECK(transient.slot[i] == (tied && bucket.unit == 0 ? 2 : static_cast<std::size_t>(bucket.unit % 2)));
      CHECK(transient.place[i] + bucket.size <= transient.slot_size[transient.slot[i]]);
    }
    CHECK(transient.of_unit[3].size() == (tied ? 2 : 1));
    CHECK((transient.slot_size[2] > 0) == tied);
  }
}

TEST_CASE("transient_slots: what is in a slot is not gathered again") {
  ParameterStore store;
  declare_odd(store, true);
  store.lay_out({2, 2});
  const ShardPlan plan = make_shard_plan(store, {2, 1, 0});
  const TransientPlan transient = make_transient_plan(plan, store.units(), plan.shards.size());
  // The groups are the embedding (tied), layers a and b, and the last norm. One slot holds a and then the
  // norm. Another holds only b, and the third holds the embedding.
  REQUIRE(transient.groups.size() == 4);
  CHECK(gathers_of_step(transient, 1) == std::vector<std::int64_t>{1, 2, 1, 1});
  CHECK(gathers_of_step(transient, 3) == std::vector<std::int64_t>{1, 4, 1, 3});
  SlotSchedule schedule(transient);
  CHECK(schedule.enter(0, Direction::forward) ==
        std::vector<std::size_t>{0, 1});  // and also the next unit's, which is gathered early
  CHECK(schedule.enter(1, Direction::forward) == std::vector<std::size_t>{2});
  schedule.forget();
  CHECK(schedule.enter(1, Direction::backward) == std::vector<std::size_t>{1, 0});
}

TEST_CASE("transient_slots: the buckets of a unit are side by side in its slot") {
  TestContext context;
  ParameterStore store;
  declare_odd(store, true);
  store.lay_out({2, 2});
  const ShardPlan plan = make_shard_plan(store, {2, 1, 0});
  const TransientPlan transient = make_transient_plan(plan, store.units(), plan.shards.size());
  const TransientSlots slots(context, plan, transient, DType::f32);
  CHECK(context.memory().current(MemoryCategory::communication) == 4 * transient.elements());
  const Tensor dense = slots.place_of(1), experts = slots.place_of(2);
  CHECK(dense.numel() == plan.shards[1].bucket.size);
  CHECK(experts.numel() == plan.shards[2].bucket.size);
  CHECK(transient.place[1] == 0);
  CHECK(transient.place[2] == dense.numel());
}
