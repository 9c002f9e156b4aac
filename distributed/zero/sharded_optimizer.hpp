// AdamW on the trainable parameters that this rank owns, and the norm of the gradients of all ranks.
#pragma once
#include "core/transfer.hpp"
#include "distributed/zero/sharded_parameters.hpp"
#include "optim/adamw.hpp"

namespace granule {

/// Which parameters decay: matrices only, or norms and biases too.
enum class DecayOf : std::uint8_t { matrices, everything };

/// √Σ g², with every trainable parameter of the job counted once. It is measured and starts on its way to the
/// host at construction, so that the host can wait for it and other numbers together.
class GradientNorm {
 public:
  explicit GradientNorm(const ShardedParameters& parameters);
  /// A sum over the ranks' own parts, which has the same bits on all ranks. Throws exit code 76 if it does
  /// not. It is a collective.
  [[nodiscard]] double get() const;

 private:
  Communicator* world_;
  HostCopy<double> of_shards_;
};

class ShardedOptimizer {
 public:
  /// Masters begin as the values. If these are initialised or loaded later, they have all their digits.
  /// `place` is where moments and masters are.
  ShardedOptimizer(Context& context, ShardedParameters& parameters, const AdamWConfig& config, DecayOf decay,
                   Place place = Place::device);

  /// Updates the rank's own parts of what is trainable (stage 0: all of it) and tells the parameters that
  /// their values have changed.
  void step(double lr, double gradient_scale);

  /// Undefined data if the values are the masters.
  [[nodiscard]] ArenaPart masters() const { return part(adamw_.masters()); }
  [[nodiscard]] ArenaPart first_moment() const { return part(adamw_.first_moment()); }
  [[nodiscard]] ArenaPart second_moment() const { return part(adamw_.second_moment()); }
  [[nodiscard]] std::int64_t steps() const { return adamw_.steps(); }
  void set_steps(std::int64_t steps) { adamw_.set_steps(steps); }

 private:
  [[nodiscard]] ArenaPart part(const Tensor& data) const { return {data, extent_, Covers::trainable}; }

  ShardedParameters& parameters_;
  Extent extent_;
  AdamW adamw_;
};

}  // namespace granule
