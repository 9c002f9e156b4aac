// The parameters of a model as the ranks of a job hold them: whole, or sharded by ZeRO's stages. Give it to
// every pass as its UnitObserver.
#pragma once
#include <optional>

#include "distributed/zero/arena_part.hpp"
#include "distributed/zero/gradient_reducer.hpp"
#include "distributed/zero/value_gatherer.hpp"

namespace granule {

class ShardedParameters final : public UnitObserver {
 public:
  /// The store must be laid out for the mesh and materialised with gradients and
  /// residence_of(stage).
  ShardedParameters(Context& context, const Mesh& mesh, ParameterStore& store, ZeroStage stage);
  ShardedParameters(const ShardedParameters&) = delete;  // its parts know where it is
  ShardedParameters& operator=(const ShardedParameters&) = delete;

  /// Initial values and states, as ParameterStore::initialise() makes them. They are the same for every
  /// layout.
  void initialise(std::uint64_t seed, double initializer_range);

  void begin_step() { reducer_.begin_step(); }
  void begin_micro_batch(std::int64_t index, std::int64_t of) { reducer_.begin_micro_batch(index, of); }
  void enter(std::int64_t unit, Direction direction) override;
  void leave(std::int64_t unit, Direction direction) override;
  /// Call it after the last backward of a step. It returns when the gradients of all ranks are summed.
  void finish_gradients() { reducer_.finish(); }
  /// Call it after an optimizer has changed the rank's own values. It gathers trainable values
  /// that are held as a whole.
  void values_changed();

  /// This rank's part of a bucket, by its place in the plan. Only trainable ones have gradients.
  [[nodiscard]] Tensor own_values(std::size_t shard) const;
  [[nodiscard]] Tensor own_gradients(std::size_t shard) const { return reducer_.part(shard); }
  /// The range must be one of ranges_held(plan(), Extent::parts, …).
  [[nodiscard]] Tensor own_gradients(const ArenaPart::Range& range) const { return reducer_.part(range); }
  [[nodiscard]] ArenaPart values() const;
  /// The masters of an optimizer become the values. Initial and loaded values are also written into them from
  /// now on.
  void keep_masters(const ArenaPart& masters);
  /// What a checkpoint has of a tensor: the masters, or the values if they are the masters or it is frozen.
  [[nodiscard]] ArenaPart exact_values(const LogicalTensor& tensor) const;
  /// The places where the values of a tensor are stored, from the most exact one on.
  [[nodiscard]] std::vector<ArenaPart> places_of_values() const;

  /// Throws exit code 76 if ranks that should hold equal values do not.
  void require_equal_replicas() const;

  [[nodiscard]] const ShardPlan& plan() const { return plan_; }
  [[nodiscard]] ZeroStage stage() const { return stage_; }
  [[nodiscard]] const Mesh& mesh() const { return mesh_; }
  [[nodiscard]] ParameterStore& store() const { return store_; }

 private:
  const Mesh& mesh_;
  ParameterStore& store_;
  ZeroStage stage_;
  ShardPlan plan_;
  GradientReducer reducer_;
  std::optional<ValueGatherer> gatherer_;  // stage 3
  ArenaPart masters_;                      // undefined data unless masters are kept
};

}  // namespace granule
