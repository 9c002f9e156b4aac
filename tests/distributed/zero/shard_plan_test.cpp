#include "distributed/zero/shard_plan.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/sharded_store.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Case {
  MeshPosition at;
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

TEST_CASE("shard_plan: every element of every bucket belongs to one rank of those that share it") {
  for (Case one : cases()) {
    ParameterStore store;
    declare_odd(store, one.tied);
    store.lay_out(arena_layout(one.at));
    std::vector<int> owners(static_cast<std::size_t>(store.arena_size()));
    for (one.at.rank = 0; one.at.rank < one.at.ranks; ++one.at.rank) {
      const ShardPlan plan = make_shard_plan(store, one.at);
      CHECK(plan.arena == store.arena_size());
      std::int64_t end = 0;
      for (const ShardPlan::Shard& shard : plan.shards) {
        CHECK(shard.offset == end);
        end += shard.size();
        for (std::int64_t i = 0; i < shard.size(); ++i) ++owners[static_cast<std::size_t>(shard.begin() + i)];
      }
      CHECK(plan.own == end);
    }
    // Each column has one owner for an expert element. Columns have different experts at the same places.
    for (const Bucket& bucket : store.buckets()) {
      const int wanted = bucket.group == ParameterGroup::dense ? 1 : static_cast<int>(one.at.ep);
      for (std::int64_t i = 0; i < bucket.size; ++i)
        CHECK(owners[static_cast<std::size_t>(bucket.offset + i)] == wanted);
    }
  }
}

TEST_CASE(
    "shard_plan: buckets lie in the order of units, dense before experts, aligned, and tensors inside of "
    "theirs") {
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
