// AdamW on the parameters that this rank owns, and the norm of the gradients of all ranks.
#pragma once
#include "core/transfer.hpp"
#include "distributed/zero/sharded_parameters.hpp"
#include "optim/adamw.hpp"

namespace granule {

/// Which parameters decay: matrices only, or norms and biases too.
enum class DecayOf : std::uint8_t { matrices, everything };

/// √Σ g², with every parameter of the job counted once. It is a sum over the ranks' own parts and has the
/// same bits on all ranks. Throws exit code 76 if it does not.
[[nodiscard]] double gradient_norm(const ShardedParameters& parameters);
/// The first half of gradient_norm(), which does not wait: Σ g² of each of the rank's parts, on its way to
/// the host.
[[nodiscard]] HostCopy<double> start_gradient_norm(const ShardedParameters& parameters);
/// The second half. All ranks call it together.
[[nodiscard]] double finish_gradient_norm(const ShardedParameters& parameters,
                                          const HostCopy<double>& squares);

class ShardedOptimizer {
 public:
  ShardedOptimizer(Context& context, ShardedParameters& parameters, const AdamWConfig& config, DecayOf decay);

  /// Updates the rank's own parts (stage 0: everything) and tells the parameters that their values have
  /// changed.
  void step(double lr, double gradient_scale);

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
