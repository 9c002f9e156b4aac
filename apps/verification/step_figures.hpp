// What one training step computes, in full: the figures that no layout may change.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/config/run_config.hpp"
#include "moe/sharded_model.hpp"

namespace granule {

struct StepFigures {
  double ce = 0.0, aux = 0.0, device_aux = 0.0, z = 0.0, grad_norm = 0.0;
  std::vector<std::int64_t> counts{};                      ///< tokens of each expert, [moe layer][expert]
  std::map<std::string, std::vector<double>> gradients{};  ///< of every parameter, on rank 0 alone
};

/// Makes micro-batch `index` of the step, the same for every layout. Called by several ranks at once.
using MicroBatchOf = std::function<MicroBatch(Context&, std::int64_t index)>;

/// A step, the same for every layout.
struct StepInput {
  const RunConfig& config;
  StepTotals totals;
  MicroBatchOf micro_batch;
};

/// The first step of a run on these ranks, from its initial values. A collective.
[[nodiscard]] StepFigures step_figures(Communicator& ranks, const StepInput& input,
                                       const ParallelLayout& layout);

/// The largest relative differences to a reference. Of a gradient: the largest difference over the largest
/// value of the tensor, or over the rounding of the whole gradient where that is more: of a gradient that is
/// nothing but rounding there is nothing to compare.
struct FigureDifferences {
  double ce = 0.0, aux = 0.0, device_aux = 0.0, z = 0.0, grad_norm = 0.0, gradient = 0.0;
  std::string parameter{};         ///< whose gradient differs most
  std::int64_t other_choices = 0;  ///< tokens that went to other experts
  /// Within what another order of sums explains in this dtype.
  [[nodiscard]] bool hold(DType dtype) const;
};
[[nodiscard]] FigureDifferences differences(const StepFigures& figures, const StepFigures& reference,
                                            DType dtype);

}  // namespace granule
