// Sums the gradients of all ranks, and alone knows when. Frozen buckets have none. Below stage 2 every rank
// keeps whole gradients and sums them once a step, unit by unit after the last micro-batch's backward. From
// stage 2 on a unit's gradients are whole only while backward is in it. They are summed into this rank's
// parts after every micro-batch.
#pragma once
#include <array>
#include <vector>

#include "distributed/zero/arena_part.hpp"
#include "distributed/zero/transient_slots.hpp"

namespace granule {

class GradientReducer {
 public:
  GradientReducer(Context& context, const Mesh& mesh, ParameterStore& store, const ShardPlan& plan,
                  ZeroStage stage);

  void begin_step();
  /// Says which micro-batch of the step the next backward is of. Sums of whole gradients start after the last
  /// one.
  void begin_micro_batch(std::int64_t index, std::int64_t of);
  /// Backward enters a unit.
  void enter(std::int64_t unit);
  void leave(std::int64_t unit);
  /// Returns when all sums are complete.
  void finish();
  /// Advances the sums that are under way.
  void poll();

  /// After finish(): this rank's part of a bucket, summed over the ranks.
  [[nodiscard]] Tensor part(std::size_t shard) const;
  /// The same for a range of this rank's parts.
  [[nodiscard]] Tensor part(const ArenaPart::Range& range) const;

 private:
  struct Sum {
    Pending pending;
    std::size_t shard;
    Tensor part;  // from stage 2 on, where it arrives
  };
  void open(std::size_t shard);
  void sum_whole(std::size_t shard);
  void sum_transient(std::size_t shard);
  void settle(std::vector<Sum>& sums);

  const Mesh& mesh_;
  ParameterStore& store_;
  const ShardPlan& plan_;
  ZeroStage stage_;
  bool last_ = false;
  Tensor parts_;               // from stage 2 on: this rank's parts, one after the other
  std::vector<double> betas_;  // of each part: 0 until its first sum of the step has arrived
  TransientSlots slots_;       // with buffers from stage 2 on
  // The sums of each slot. Below stage 2 the first slot has all.
  std::array<std::vector<Sum>, TransientSlots::kSlots> sums_;
};

}  // namespace granule
