// Where whole buckets are held temporarily if ranks hold only shards: which slot a bucket has, when it must
// be gathered again, and the buffers. All but the buffers is arithmetic on the plan of shards.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "distributed/zero/shard_plan.hpp"
#include "nn/pass.hpp"

namespace granule {

/// Three slots. Units use the first two in turn, so that one can be filled or emptied while the other is
/// computed on. A bucket of two units has the third.
struct TransientPlan {
  static constexpr std::size_t kSlots = 3;
  /// Buckets that come and go together: those of a unit, or one that two units use.
  struct Group {
    std::vector<std::size_t> shards;
    std::size_t slot = 0;
    std::int64_t first_user = 0, last_user = 0;  ///< the units that use it
  };
  std::vector<Group> groups;
  std::vector<std::vector<std::size_t>> of_unit;  ///< the groups that each unit uses
  std::vector<std::size_t> slot;                  ///< the slot of each bucket
  std::vector<std::int64_t> place;                ///< where each bucket begins in its slot
  std::array<std::int64_t, kSlots> slot_size{};   ///< in elements
  [[nodiscard]] std::int64_t elements() const { return slot_size[0] + slot_size[1] + slot_size[2]; }
};
/// For the first `shards` of a plan: those whose values are gathered, or whose gradients are reduced.
[[nodiscard]] TransientPlan make_transient_plan(const ShardPlan& plan, std::int64_t units,
                                                std::size_t shards);

/// Which groups must be gathered when a unit is entered. A group that is in its slot already is not gathered
/// again.
class SlotSchedule {
 public:
  explicit SlotSchedule(const TransientPlan& plan);
  /// The groups to gather now, in order: those of the unit, then, early, those of the next unit.
  [[nodiscard]] std::vector<std::size_t> enter(std::int64_t unit, Direction direction);
  /// The values have changed, so the contents of the slots are out of date.
  void forget() { holder_.fill(kNobody); }

 private:
  static constexpr std::size_t kNobody = SIZE_MAX;
  void want(std::int64_t unit, std::vector<std::size_t>& missing);

  const TransientPlan& plan_;
  std::array<std::size_t, TransientPlan::kSlots> holder_{};
};

class TransientSlots {
 public:
  TransientSlots() = default;  ///< none
  TransientSlots(Context& context, const ShardPlan& plan, const TransientPlan& transient, DType dtype);
  /// The buffer of a bucket, [bucket.size].
  [[nodiscard]] Tensor place_of(std::size_t shard) const;

 private:
  const ShardPlan* plan_ = nullptr;
  const TransientPlan* transient_ = nullptr;
  std::array<Tensor, TransientPlan::kSlots> slots_;
};

}  // namespace granule
