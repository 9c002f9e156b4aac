#include "distributed/zero/shard_plan.hpp"

#include "distributed/zero/transient_slots.hpp"
#include "optim/adamw.hpp"

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

ShardedBytes sharded_bytes(const ShardPlan& plan, std::int64_t units, ZeroStage stage, Precision precision) {
  const auto held = [&](ZeroStage sharded_from, const auto& of) {
    return stage >= sharded_from ? of.own : of.arena;
  };
  const std::int64_t value = size_of(precision.values), gradient = size_of(precision.gradients);
  ShardedBytes bytes{
      .weights = held(ZeroStage::values, plan) * value,
      .gradients = held(ZeroStage::gradients, plan.trainable) * gradient,
      .optimizer = held(ZeroStage::optimizer, plan.trainable) * AdamW::bytes_per_element(precision)};
  const auto slots = [&](std::size_t shards) { return make_transient_plan(plan, units, shards).elements(); };
  if (stage >= ZeroStage::gradients) bytes.communication += slots(plan.trainable.shards) * gradient;
  if (stage >= ZeroStage::values) bytes.communication += slots(plan.shards.size()) * value;
  return bytes;
}

}  // namespace granule
