#include "distributed/zero/transient_slots.hpp"

#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("transient_slots: two units in a row are never in one slot, and a shared bucket has its own") {
  for (const bool tied : {false, true}) {
    ParameterStore store;
    declare_odd(store, tied);
    store.lay_out({2, 2});
    const ShardPlan plan = make_shard_plan(store, {2, 1, 0});
    const TransientSlots slots(plan, store.units(), plan.shards.size());
    std::int64_t shared = 0;
    for (std::size_t i = 0; i < plan.shards.size(); ++i) {
      const Bucket& bucket = plan.shards[i].bucket;
      CHECK(slots.slot_of(i) == (tied && bucket.unit == 0 ? 2 : static_cast<std::size_t>(bucket.unit % 2)));
      shared += slots.slot_of(i) == 2 ? bucket.size : 0;
    }
    CHECK((shared > 0) == tied);
    CHECK(slots.groups_of(3).size() == (tied ? 2 : 1));
    CHECK(slots.groups_of(-1).empty());
    CHECK(slots.groups_of(4).empty());
    // Every bucket is in one group, which each of its users uses.
    std::vector<std::size_t> seen(plan.shards.size());
    for (const TransientSlots::Group& group : slots.groups()) {
      for (const std::size_t i : group.shards) {
        CHECK(slots.slot_of(i) == group.slot);
        ++seen[i];
      }
    }
    CHECK(seen == std::vector<std::size_t>(plan.shards.size(), 1));
  }
}

TEST_CASE(
    "transient_slots: the buckets of a unit are side by side in its slot, which fits the largest unit") {
  TestContext context;
  ParameterStore store;
  declare_odd(store, true);
  store.lay_out({2, 2});
  const ShardPlan plan = make_shard_plan(store, {2, 1, 0});
  TransientSlots slots(plan, store.units(), plan.shards.size());
  CHECK(context.memory().current(MemoryCategory::communication) == 0);
  slots.allocate(context, DType::f32);
  CHECK(context.memory().current(MemoryCategory::communication) == 4 * slots.elements());
  const auto size = [&](std::size_t shard) { return plan.shards[shard].bucket.size; };
  // The embedding is tied. Then come the dense and the expert bucket of layer a, those of b, and the norm.
  REQUIRE(plan.shards.size() == 6);
  CHECK(slots.elements() == size(0) + std::max(size(1) + size(2), size(5)) + size(3) + size(4));
  const Tensor dense = slots.place_of(1), experts = slots.place_of(2);
  CHECK(dense.numel() == size(1));
  CHECK(experts.numel() == size(2));
  // The last norm begins where layer a does.
  fill(dense, 1.0);
  fill(experts, 2.0);
  CHECK(same_bits(slots.place_of(5), dense.slice(0, {size(5)})));
}
