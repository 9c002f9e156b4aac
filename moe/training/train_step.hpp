// One training step of all ranks: gradients, their norm, the verdict on them, the update, and the routers'
// bias. The trainer, the benchmark, the certificate of layouts, and their tests all take this step.
#pragma once
#include "distributed/zero/sharded_optimizer.hpp"
#include "moe/training/sharded_model.hpp"
#include "optim/step_guard.hpp"

namespace granule {

struct TrainStepOptions {
  StepTotals totals;  ///< of all ranks
  Recompute recompute = Recompute::none;
  AdamWConfig adamw{};
  DecayOf decay = DecayOf::matrices;
  double grad_clip = 0.0;  ///< the largest norm that is applied; 0: off
  StepGuardConfig guard{};
  std::int64_t replica_check_every = 0;  ///< steps after which ranks compare their copies; 0: never
};

struct StepResult {
  LossReport losses;
  double grad_norm = 0.0;  ///< before clipping
  StepVerdict verdict = StepVerdict::apply;
  std::vector<GradientShares> shares;  ///< of each MoE layer's router, by its place among the MoE layers
};

/// Makes the micro-batches of this rank, one after the other.
using NextMicroBatch = std::function<MicroBatch()>;

/// Step n ≥ 1 up to the norm of its gradients, which are in the model's parameters afterwards. Nothing is
/// judged and nothing changes. The record is of the whole step.
[[nodiscard]] StepResult step_gradients(ShardedModel& model, std::int64_t n, const StepTotals& totals,
                                        Recompute recompute, RouterRecord& record,
                                        const NextMicroBatch& next);

class TrainStep {
 public:
  /// The model outlives the step, and its layout says where the optimizer's state is. Its values are set by
  /// the caller. In bf16, masters have the digits that bf16 lacks only if that is done after this.
  TrainStep(Context& context, ShardedModel& model, const TrainStepOptions& options);

  /// Step n ≥ 1 at this learning rate. If the verdict is not to apply it, no parameter and no bias changes.
  /// Throws exit code 76 if ranks have become different.
  [[nodiscard]] StepResult run(std::int64_t n, double lr, const NextMicroBatch& next);

  /// What the routers did in the last step.
  [[nodiscard]] const RouterRecord& routers() const { return routers_; }
  [[nodiscard]] ShardedOptimizer& optimizer() { return optimizer_; }
  [[nodiscard]] const ShardedOptimizer& optimizer() const { return optimizer_; }
  [[nodiscard]] StepGuard& guard() { return guard_; }
  [[nodiscard]] const StepGuard& guard() const { return guard_; }

 private:
  void apply(std::int64_t n, double lr, double grad_norm);

  Context& context_;
  ShardedModel& model_;
  TrainStepOptions options_;
  ShardedOptimizer optimizer_;
  StepGuard guard_;
  RouterRecord routers_;
};

}  // namespace granule
