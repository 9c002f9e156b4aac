#include "distributed/zero/shard_plan.hpp"

namespace granule {

Residence residence_of(ZeroStage stage) {
  if (stage >= ZeroStage::values) return Residence::bound;
  return stage >= ZeroStage::gradients ? Residence::whole_values : Residence::whole;
}

ShardPlan make_shard_plan(const ParameterStore& store, const MeshPosition& at) {
  ShardPlan plan{.position = at, .arena = store.arena_size()};
  for (const Bucket& bucket : store.buckets()) {
    const std::int64_t parts = parts_of(at, bucket.group);
    GRANULE_CHECK(bucket.size % parts == 0, "shard plan: a bucket of {} elements over {} ranks", bucket.size,
                  parts);
    plan.shards.push_back({bucket, parts, part_of(at, bucket.group), plan.own});
    plan.own += plan.shards.back().size();
    if (bucket.trainable) plan.trainable = {plan.shards.size(), bucket.offset + bucket.size, plan.own};
  }
  return plan;
}

}  // namespace granule
