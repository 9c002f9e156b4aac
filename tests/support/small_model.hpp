// A model that is small enough for a test and odd enough to find mistakes, with random tokens to train it on.
#pragma once
#include "moe/training/objective.hpp"
#include "moe/training/router_record.hpp"
#include "tests/support/tensors.hpp"

namespace granule::test {

[[nodiscard]] ModelConfig small_model_config();
/// It has 8 experts top-3, 2 shared experts, a dense first layer, the sequence-level loss, and α 0.05.
[[nodiscard]] MoeConfig small_moe_config();

/// One model with its context. Its initial values are drawn with `seed`.
struct SmallModel {
  TestContext context;
  Model model;
  RouterRecord record;

  explicit SmallModel(DType dtype, int threads = 1, const ModelConfig& config = small_model_config(),
                      const MoeConfig& moe = small_moe_config());

  /// Computes losses and gradients of one global batch. It is divided into micro-batches of `micro`
  /// sequences.
  LossReport run(std::int64_t sequences, std::int64_t micro, Recompute recompute = Recompute::none,
                 UnitObserver* units = nullptr);
  /// The flat gradients as float64.
  [[nodiscard]] std::vector<double> gradients() const;
  [[nodiscard]] std::vector<double> gradient(const std::string& name) const;
};

/// The losses of one micro-batch, which trains the model or is evaluated.
LossReport trained(Model& model, const MicroBatch& batch, const StepTotals& totals, Recompute recompute,
                   StepObservers observers = {});
[[nodiscard]] LossReport evaluated(const Model& model, Context& context, const MicroBatch& batch,
                                   const StepTotals& totals, StepObservers observers = {},
                                   const EvaluationRouting& routing = {});

inline constexpr std::int64_t kSmallSeq = 12;

/// Sequences [first, first + count) of a fixed random text.
[[nodiscard]] MicroBatch small_batch(Context& context, const ModelConfig& config, std::int64_t first,
                                     std::int64_t count);

}  // namespace granule::test
