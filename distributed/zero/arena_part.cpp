#include "distributed/zero/arena_part.hpp"

#include <algorithm>

namespace granule {

std::vector<ArenaPart::Range> ranges_held(const ShardPlan& plan, Extent extent, std::int64_t begin,
                                          std::int64_t end) {
  if (extent == Extent::whole) return {{begin, end - begin, begin}};
  return ranges_of_rank(plan, plan.position.rank, begin, end);
}

std::vector<ArenaPart::Range> ranges_of_rank(const ShardPlan& plan, std::int64_t rank, std::int64_t begin,
                                             std::int64_t end) {
  const MeshPosition at = plan.position.of_rank(rank);
  std::vector<ArenaPart::Range> ranges;
  // Buckets are in the order of their offsets. This is the first that may reach into the range.
  auto shard = std::partition_point(plan.shards.begin(), plan.shards.end(), [&](const ShardPlan::Shard& s) {
    return s.bucket.offset + s.bucket.size <= begin;
  });
  for (; shard != plan.shards.end() && shard->bucket.offset < end; ++shard) {
    const std::int64_t first = shard->bucket.offset + part_of(at, shard->bucket.group) * shard->size();
    const std::int64_t from = std::max(begin, first), to = std::min(end, first + shard->size());
    if (from < to) ranges.push_back({from, to - from, shard->offset + from - first});
  }
  return ranges;
}

}  // namespace granule
