#include "distributed/zero/transient_slots.hpp"

#include <algorithm>

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
  TransientPlan::Group group{{}, static_cast<std::size_t>(unit % 2), unit, unit};
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

SlotSchedule::SlotSchedule(const TransientPlan& plan) : plan_(plan) {
  forget();
}

void SlotSchedule::want(std::int64_t unit, std::vector<std::size_t>& missing) {
  if (unit < 0 || unit >= std::ssize(plan_.of_unit)) return;
  for (const std::size_t group : plan_.of_unit[static_cast<std::size_t>(unit)]) {
    std::size_t& holder = holder_[plan_.groups[group].slot];
    if (holder == group) continue;
    holder = group;
    missing.push_back(group);
  }
}

std::vector<std::size_t> SlotSchedule::enter(std::int64_t unit, Direction direction) {
  std::vector<std::size_t> missing;
  want(unit, missing);
  want(direction == Direction::forward ? unit + 1 : unit - 1, missing);
  return missing;
}

TransientSlots::TransientSlots(Context& context, const ShardPlan& plan, const TransientPlan& transient,
                               DType dtype)
    : plan_(&plan), transient_(&transient) {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot)
    slots_[slot] = Tensor::empty(context, {transient.slot_size[slot]}, dtype, MemoryCategory::communication);
}

Tensor TransientSlots::place_of(std::size_t shard) const {
  return slots_[transient_->slot[shard]].slice(transient_->place[shard], {plan_->shards[shard].bucket.size});
}

}  // namespace granule
