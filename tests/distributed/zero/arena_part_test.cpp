#include "distributed/zero/arena_part.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/sharded_store.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("arena_part: ranges of all ranks put a tensor together in the order of the ranks") {
  ParameterStore store;
  declare_odd(store, false);
  const MeshPosition first{4, 2, 0};
  store.lay_out(arena_layout(first));
  const ShardPlan plan = make_shard_plan(store, first);
  for (const LogicalTensor& tensor : store.logical()) {
    const std::int64_t begin = tensor.offset, end = begin + tensor.shape.numel();
    for (const std::int64_t column : {0, 1}) {
      std::int64_t at = begin;
      for (std::int64_t rank = 0; rank < 4; ++rank) {
        if (tensor.group == ParameterGroup::expert && first.of_rank(rank).column() != column) continue;
        for (const ArenaPart::Range& range : ranges_of_rank(plan, rank, begin, end)) {
          CHECK(range.begin == at);
          at += range.size;
        }
      }
      CHECK(at == end);
    }
  }
}

TEST_CASE(
    "arena_part: a whole quantity has every range where the arena has it, and gradients no frozen tensor") {
  const auto ranges = ranges_held({}, Extent::whole, 100, 130);
  REQUIRE(ranges.size() == 1);
  CHECK(ranges[0].begin == 100);
  CHECK(ranges[0].size == 30);
  CHECK(ranges[0].at == 100);
  const LogicalTensor frozen{"w", {3}, ParameterRole::matrix, ParameterGroup::dense, 0, false};
  CHECK(ArenaPart{}.has(frozen));
  CHECK_FALSE(ArenaPart{{}, Extent::whole, Covers::trainable}.has(frozen));
}
