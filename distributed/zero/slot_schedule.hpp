// Which buckets must be gathered when a unit is entered. A bucket that is in a slot already is not gathered
// again. It is a pure function, so that the traffic of a step can be predicted.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "distributed/zero/shard_plan.hpp"
#include "nn/pass.hpp"

namespace granule {

class SlotSchedule {
 public:
  explicit SlotSchedule(const TransientPlan& plan);
  /// The groups to gather now, in order: those of the unit, then, early, those of the next unit.
  [[nodiscard]] std::vector<std::size_t> enter(std::int64_t unit, Direction direction);
  /// The values have changed, so the contents of the slots are out of date.
  void forget() { holder_.fill(kNobody); }
  [[nodiscard]] std::size_t holder(std::size_t slot) const { return holder_[slot]; }

  static constexpr std::size_t kNobody = SIZE_MAX;

 private:
  void want(std::int64_t unit, std::vector<std::size_t>& missing);

  const TransientPlan& plan_;
  std::array<std::size_t, TransientPlan::kSlots> holder_{};
};

/// How often each group is gathered in a step of this many micro-batches, by group.
[[nodiscard]] std::vector<std::int64_t> gathers_of_step(const TransientPlan& plan,
                                                        std::int64_t micro_batches);

}  // namespace granule
