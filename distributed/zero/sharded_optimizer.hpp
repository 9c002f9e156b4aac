// AdamW on what this rank owns of the parameters, and the norm of the gradients of all ranks.
#pragma once
#include "distributed/zero/sharded_parameters.hpp"
#include "optim/adamw.hpp"

namespace granule {

/// Which parameters keep their size without a gradient: norms and biases, or nothing.
enum class DecayOf : std::uint8_t { matrices, everything };

/// √Σ g² over every parameter of the job once, whoever holds it: a sum of the ranks' own parts, which has the
/// same bits on all of them. Throws exit code 76 where it has not.
[[nodiscard]] double gradient_norm(const ShardedParameters& parameters);

class ShardedOptimizer {
 public:
  ShardedOptimizer(Context& context, ShardedParameters& parameters, const AdamWConfig& config, DecayOf decay);

  /// Takes the step on own parts (stage 0: everywhere) and makes the new values known.
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
