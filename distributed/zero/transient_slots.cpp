#include "distributed/zero/transient_slots.hpp"

#include <algorithm>

namespace granule {
namespace {

constexpr std::size_t kSharedSlot = 2;

bool is_shared(const Bucket& bucket) {
  return bucket.last_user != bucket.unit;
}

}  // namespace

TransientSlots::TransientSlots(const ShardPlan& plan, std::int64_t units, std::size_t shards)
    : plan_(&plan), of_unit_(static_cast<std::size_t>(units)), slot_(shards), place_(shards) {
  for (std::size_t i = 0; i < shards; ++i) {
    if (is_shared(plan.shards[i].bucket)) add_shared_group(i);
  }
  for (std::int64_t unit = 0; unit < units; ++unit) add_unit_group(unit);
}

void TransientSlots::add_shared_group(std::size_t shard) {
  const Bucket& bucket = plan_->shards[shard].bucket;
  slot_[shard] = kSharedSlot;
  place_[shard] = size_[kSharedSlot];
  size_[kSharedSlot] += bucket.size;
  for (const std::int64_t unit : {bucket.unit, bucket.last_user})
    of_unit_[static_cast<std::size_t>(unit)].push_back(groups_.size());
  groups_.push_back({{shard}, kSharedSlot});
}

void TransientSlots::add_unit_group(std::int64_t unit) {
  Group group{{}, static_cast<std::size_t>(unit % 2)};
  std::int64_t size = 0;
  for (std::size_t i = 0; i < slot_.size(); ++i) {
    const Bucket& bucket = plan_->shards[i].bucket;
    if (bucket.unit != unit || is_shared(bucket)) continue;
    slot_[i] = group.slot;
    place_[i] = size;
    size += bucket.size;
    group.shards.push_back(i);
  }
  if (group.shards.empty()) return;
  size_[group.slot] = std::max(size_[group.slot], size);
  of_unit_[static_cast<std::size_t>(unit)].push_back(groups_.size());
  groups_.push_back(std::move(group));
}

void TransientSlots::allocate(Context& context, DType dtype) {
  for (std::size_t slot = 0; slot < buffers_.size(); ++slot)
    buffers_[slot] = Tensor::empty(context, {size_[slot]}, dtype, MemoryCategory::communication);
}

std::vector<std::size_t> TransientSlots::groups_of(std::int64_t unit) const {
  if (unit < 0 || unit >= std::ssize(of_unit_)) return {};
  return of_unit_[static_cast<std::size_t>(unit)];
}

Tensor TransientSlots::place_of(std::size_t shard) const {
  return buffers_[slot_[shard]].slice(place_[shard], {plan_->shards[shard].bucket.size});
}

}  // namespace granule
