// ZeRO stage 3. Every rank keeps its parts of the values, and a unit's values are whole only while it is in
// use.
#pragma once
#include <array>
#include <vector>

#include "distributed/zero/transient_slots.hpp"
#include "nn/pass.hpp"

namespace granule {

class ValueGatherer {
 public:
  /// The store is materialised and has no values of its own. Allocates this rank's parts (as zeros) and the
  /// slots.
  ValueGatherer(Context& context, const Mesh& mesh, ParameterStore& store, const ShardPlan& plan);

  /// Binds the unit's values, gathered now or early, and starts to gather those of the next unit. What is in
  /// its slot already is not gathered again.
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
  static constexpr std::size_t kNobody = SIZE_MAX;
  /// Starts to gather the groups of a unit that are not in their slots.
  void want(std::int64_t unit);
  void start(std::size_t group);

  const Mesh& mesh_;
  ParameterStore& store_;
  const ShardPlan& plan_;
  TransientSlots slots_;
  Tensor parts_;
  std::array<std::size_t, TransientSlots::kSlots> holder_{};  // the group in each slot, or on its way there
  std::array<std::vector<Pending>, TransientSlots::kSlots> pending_;
};

}  // namespace granule
