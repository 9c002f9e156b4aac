// ZeRO stage 3. Every rank keeps its parts of the values, and a unit's values are whole only while it is in
// use.
#pragma once
#include <array>
#include <vector>

#include "distributed/zero/transient_slots.hpp"

namespace granule {

class ValueGatherer {
 public:
  /// The store is materialised and has no values of its own. Allocates this rank's parts (as zeros) and the
  /// slots.
  ValueGatherer(Context& context, const Mesh& mesh, ParameterStore& store, const ShardPlan& plan);

  /// Binds the unit's values, gathered now or early, and starts to gather those of the next unit.
  void enter(std::int64_t unit, Direction direction);
  /// Frees the unit's values.
  void leave(std::int64_t unit);
  /// Call it after the parts have changed.
  void values_changed();
  /// Advances the gathers that are under way.
  void poll();

  /// This rank's parts, one after the other.
  [[nodiscard]] const Tensor& parts() const { return parts_; }

 private:
  void start(std::size_t group);

  const Mesh& mesh_;
  ParameterStore& store_;
  const ShardPlan& plan_;
  TransientPlan transient_;
  SlotSchedule schedule_;
  Tensor parts_;
  TransientSlots slots_;
  std::array<std::vector<Pending>, TransientPlan::kSlots> pending_;
};

}  // namespace granule
