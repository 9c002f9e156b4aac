// The arithmetic of shards: every element has one owner, slots are large enough, and gathers are predicted.
#include "distributed/zero/shard_plan.hpp"

#include <numeric>

#include "distributed/zero/arena_part.hpp"
#include "distributed/zero/slot_schedule.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/sharded_store.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Case {
  ShardWorld world;
  bool tied;
};
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const bool tied : {false, true}) {
    for (const std::int64_t ranks : {1, 2, 3, 4, 8}) {
      for (std::int64_t ep = 1; ep <= ranks; ++ep) {
        if (ranks % ep == 0) all.push_back({{ranks, ep, 0}, tied});
      }
    }
  }
  return all;
}

}  // namespace

TEST_CASE("every element of every bucket belongs to one rank of those that share it") {
  for (Case one : cases()) {
    ParameterStore store;
    declare_odd(store, one.tied);
    store.lay_out(one.world.layout());
    std::vector<int> owners(static_cast<std::size_t>(store.arena_size()));
    for (one.world.rank = 0; one.world.rank < one.world.ranks; ++one.world.rank) {
      const ShardPlan plan = make_shard_plan(store, one.world);
      CHECK(plan.arena == store.arena_size());
      std::int64_t end = 0;
      for (const Shard& shard : plan.shards) {
        CHECK(shard.offset == end);
        end += shard.size();
        for (std::int64_t i = 0; i < shard.size(); ++i) ++owners[static_cast<std::size_t>(shard.begin() + i)];
      }
      CHECK(plan.own == end);
    }
    // Each column has one owner for an expert element. Columns have different experts at the same places.
    for (const Bucket& bucket : store.buckets()) {
      const int wanted = bucket.group == ParameterGroup::dense ? 1 : static_cast<int>(one.world.ep);
      for (std::int64_t i = 0; i < bucket.size; ++i)
        CHECK(owners[static_cast<std::size_t>(bucket.offset + i)] == wanted);
    }
  }
}

TEST_CASE("buckets lie in the order of units, dense before experts, aligned, and tensors inside of theirs") {
  ParameterStore store;
  declare_odd(store, true);
  store.lay_out({4, 2});
  const auto buckets = store.buckets();
  REQUIRE(buckets.size() == 6);
  std::int64_t end = 0;
  for (const Bucket& bucket : buckets) {
    CHECK(bucket.offset == end);
    CHECK(bucket.size % (64 * (bucket.group == ParameterGroup::dense ? 4 : 2)) == 0);
    end += bucket.size;
  }
  CHECK(end == store.arena_size());
  CHECK(buckets[0].last_user == 3);  // the embedding is also the head
  CHECK(buckets[2].group == ParameterGroup::expert);
  CHECK(store.find("a.experts").offset == buckets[2].offset);
  CHECK(store.find("a.after").offset == buckets[1].offset + 64);
}

TEST_CASE("ranges of all ranks put a tensor together in the order of the ranks") {
  ParameterStore store;
  declare_odd(store, false);
  const ShardWorld world{4, 2, 0};
  store.lay_out(world.layout());
  const ShardPlan plan = make_shard_plan(store, world);
  for (const LogicalTensor& tensor : store.logical()) {
    const std::int64_t begin = tensor.offset, end = begin + tensor.shape.numel();
    for (const std::int64_t column : {0, 1}) {
      std::int64_t at = begin;
      for (std::int64_t rank = 0; rank < 4; ++rank) {
        if (tensor.group == ParameterGroup::expert && rank % 2 != column) continue;
        for (const ArenaRange& range : ranges_of_rank(plan, rank, begin, end)) {
          CHECK(range.begin == at);
          at += range.size;
        }
      }
      CHECK(at == end);
    }
  }
}

TEST_CASE("two units in a row never stand in one slot, and a shared bucket has its own") {
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

TEST_CASE("what stands in a slot is not gathered again") {
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

TEST_CASE("bytes fall as ZeRO shares more out") {
  ParameterStore store;
  declare_odd(store, false);
  store.lay_out({8, 8});
  const ShardPlan plan = make_shard_plan(store, {8, 1, 0});
  const auto bytes = [&](ZeroStage stage) { return sharded_bytes(plan, store.units(), stage, DType::f32); };
  const std::int64_t whole = 4 * plan.arena;
  CHECK(bytes(ZeroStage::nothing).optimizer == 2 * whole);
  CHECK(bytes(ZeroStage::optimizer).optimizer == 2 * whole / 8);
  CHECK(bytes(ZeroStage::optimizer).gradients == whole);
  CHECK(bytes(ZeroStage::gradients).gradients == whole / 8);
  CHECK(bytes(ZeroStage::gradients).weights == whole);
  CHECK(bytes(ZeroStage::values).weights == whole / 8);
  CHECK(bytes(ZeroStage::values).communication == 2 * bytes(ZeroStage::gradients).communication);
  CHECK(bytes(ZeroStage::optimizer).communication == 0);
}
