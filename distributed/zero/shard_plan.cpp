#include "distributed/zero/shard_plan.hpp"

#include <algorithm>

#include "optim/adamw.hpp"

namespace granule {
namespace {

constexpr std::size_t kSharedSlot = 2;

bool is_shared(const Bucket& bucket) {
  return bucket.last_user != bucket.unit;
}

void add_shared_group(TransientPlan& transient, const ShardPlan& plan, std::size_t shard) {
  const Bucket& bucket = plan.shards[shard].bucket;
  transient.slot[shard] = kSharedSlot;
  transient.place[shard] = transient.slot_size[kSharedSlot];
  transient.slot_size[kSharedSlot] += bucket.size;
  const std::size_t group = transient.groups.size();
  transient.groups.push_back({{shard}, kSharedSlot, bucket.unit, bucket.last_user});
  transient.of_unit[static_cast<std::size_t>(bucket.unit)].push_back(group);
  transient.of_unit[static_cast<std::size_t>(bucket.last_user)].push_back(group);
}

void add_unit_group(TransientPlan& transient, const ShardPlan& plan, std::int64_t unit) {
  TransientGroup group{{}, static_cast<std::size_t>(unit % 2), unit, unit};
  std::int64_t size = 0;
  for (std::size_t i = 0; i < transient.slot.size(); ++i) {
    const Bucket& bucket = plan.shards[i].bucket;
    if (bucket.unit != unit || is_shared(bucket)) continue;
    transient.slot[i] = group.slot;
    transient.place[i] = size;
    size += bucket.size;
    group.shards.push_back(i);
  }
  if (group.shards.empty()) return;
  transient.slot_size[group.slot] = std::max(transient.slot_size[group.slot], size);
  transient.of_unit[static_cast<std::size_t>(unit)].push_back(transient.groups.size());
  transient.groups.push_back(std::move(group));
}

}  // namespace

Residence residence_of(ZeroStage stage) {
  return {.values = stage >= ZeroStage::values ? Held::bound : Held::whole,
          .gradients = stage >= ZeroStage::gradients ? Held::bound : Held::whole};
}

ShardPlan make_shard_plan(const ParameterStore& store, const ShardWorld& world) {
  ShardPlan plan{.world = world, .arena = store.arena_size()};
  for (const Bucket& bucket : store.buckets()) {
    const std::int64_t parts = world.parts(bucket.group);
    GRANULE_CHECK(bucket.size % parts == 0, "shard plan: a bucket of {} elements over {} ranks", bucket.size,
                  parts);
    plan.shards.push_back({bucket, parts, world.part(bucket.group), plan.own});
    plan.own += plan.shards.back().size();
    if (bucket.trainable) plan.trainable = {plan.shards.size(), bucket.offset + bucket.size, plan.own};
  }
  return plan;
}

TransientPlan make_transient_plan(const ShardPlan& plan, std::int64_t units, std::size_t shards) {
  TransientPlan transient;
  transient.of_unit.resize(static_cast<std::size_t>(units));
  transient.slot.resize(shards);
  transient.place.resize(shards);
  for (std::size_t i = 0; i < shards; ++i) {
    if (is_shared(plan.shards[i].bucket)) add_shared_group(transient, plan, i);
  }
  for (std::int64_t unit = 0; unit < units; ++unit) add_unit_group(transient, plan, unit);
  return transient;
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
