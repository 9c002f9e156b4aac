// AdamW on the parameters that this rank owns, and the norm of the gradients of all ranks.
#pragma once
#include "core/transfer.hpp"
#include "distributed/zero/sharded_parameters.hpp"
#include "optim/adamw.hpp"

namespace granule {

/// Which parameters decay: matrices only, or norms and biases too.
enum class DecayOf : std::uint8_t { matrices, everything };

/// √Σ g², with every parameter of the job counted once. It is measured and starts on its way to the host at
/// construction, so that the host can wait for it and other numbers together.
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
  ShardedOptimizer(Context& context, ShardedParameters& parameters, const AdamWConfig& config, DecayOf decay);

  /// Updates the rank's own parts (stage 0: everything) and tells the parameters that their values have
  /// changed.
  void step(double lr, double gradient_scale);

  /// Undefined data if the values are the masters.
  [[nodiscard]] ArenaPart masters() const { return {adamw_.masters(), extent_}; }
  [[nodiscard]] ArenaPart first_moment() const { return {adamw_.first_moment(), extent_}; }
  [[nodiscard]] ArenaPart second_moment() const { return {adamw_.second_moment(), extent_}; }
  [[nodiscard]] std::int64_t steps() const { return adamw_.steps(); }
  void set_steps(std::int64_t steps) { adamw_.set_steps(steps); }

 private:
  ShardedParameters& parameters_;
  Extent extent_;
  AdamW adamw_;
};

}  // namespace granule
