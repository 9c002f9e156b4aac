// The buffers that hold whole buckets temporarily.
#pragma once
#include "distributed/zero/shard_plan.hpp"

namespace granule {

class TransientSlots {
 public:
  TransientSlots() = default;  ///< none
  TransientSlots(Context& context, const ShardPlan& plan, const TransientPlan& transient, DType dtype)
      : plan_(&plan), transient_(&transient) {
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      slots_[slot] =
          Tensor::empty(context, {transient.slot_size[slot]}, dtype, MemoryCategory::communication);
    }
  }
  /// The buffer of a bucket, [bucket.size].
  [[nodiscard]] Tensor place_of(std::size_t shard) const {
    return slots_[transient_->slot[shard]].slice(transient_->place[shard],
                                                 {plan_->shards[shard].bucket.size});
  }

 private:
  const ShardPlan* plan_ = nullptr;
  const TransientPlan* transient_ = nullptr;
  std::array<Tensor, TransientPlan::kSlots> slots_;
};

}  // namespace granule
