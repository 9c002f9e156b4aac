// Everything that one training step computes. No layout may change these figures.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/config/run_config.hpp"
#include "moe/training/sharded_model.hpp"

namespace granule {

struct StepFigures {
  double ce = 0.0, aux = 0.0, device_aux = 0.0, z = 0.0, grad_norm = 0.0;
  std::vector<std::int64_t> counts{};                      ///< tokens of each expert, [moe layer][expert]
  std::map<std::string, std::vector<double>> gradients{};  ///< of every parameter, on rank 0 only
};

/// Makes micro-batch `index` of the step, which is the same for every layout. Several ranks call it at once.
using MicroBatchOf = std::function<MicroBatch(Context&, std::int64_t index)>;

/// A step, which is the same for every layout.
struct StepInput {
  const RunConfig& config;
  StepTotals totals;
  MicroBatchOf micro_batch;
  int gpu = 0;  ///< of this rank, if the config wants one
};

/// Computes the first step of a run on these ranks, from its initial values. This is a collective.
[[nodiscard]] StepFigures step_figures(Communicator& ranks, const StepInput& input,
                                       const ParallelLayout& layout);

/// The largest relative differences to a reference. For a gradient, it is the largest difference divided by
/// the largest value of the tensor. If the rounding of the whole gradient is more than that value, the
/// rounding is the divisor. A gradient that is only rounding has nothing to compare.
struct FigureDifferences {
  double ce = 0.0, aux = 0.0, device_aux = 0.0, z = 0.0, grad_norm = 0.0, gradient = 0.0;
  std::string parameter{};         ///< the parameter whose gradient differs most
  std::int64_t other_choices = 0;  ///< tokens that went to other experts
  /// Whether the differences are within what another order of sums explains in this dtype.
  [[nodiscard]] bool hold(DType dtype) const;
};
[[nodiscard]] FigureDifferences differences(const StepFigures& figures, const StepFigures& reference,
                                            DType dtype);

}  // namespace granule
