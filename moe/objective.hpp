// The training objective, and what one micro-batch contributes to it. This is the one place where losses get
// their weights, so no split of a batch over micro-batches or ranks can change them.
#pragma once
#include "moe/model.hpp"

namespace granule {

/// What a whole step holds, over all its micro-batches and ranks: known before its first backward.
struct StepTotals {
  std::int64_t target_tokens;
  std::int64_t sequences;
  std::int64_t micro_batches;
};

/// Objective = Σ CE / target_tokens + Σ over MoE layers of aux_loss_alpha · mean over all units of L. A unit
/// is a sequence (seq_aux) or a micro-batch. The weight of a term is dObjective / d(term).
[[nodiscard]] double cross_entropy_weight(const StepTotals& totals);
/// Of the mean of L over `units` units.
[[nodiscard]] double balance_weight(const MoeConfig& moe, const StepTotals& totals, std::int64_t units);

struct MicroBatch {
  Tensor token_N, target_N;  ///< int32, sequence by sequence
  std::int64_t batch, seq;
  Tensor first_key_N{};  ///< int32: see Pass; undefined: no document mask
};

/// Contributions to a step's reported losses; add them up over the micro-batches.
struct LossReport {
  double ce = 0.0;                   ///< Σ CE / target_tokens
  std::vector<double> aux_by_layer;  ///< mean over units of unscaled L, of each MoE layer
  void add(const LossReport& other);
  [[nodiscard]] double aux() const;  ///< mean over MoE layers; 0 without any
};

struct StepObservers {
  RoutingObserver* routing = nullptr;
  UnitObserver* units = nullptr;
};

/// Forward and backward of one micro-batch: adds its part to the gradients in model.parameters().
[[nodiscard]] LossReport train_micro_batch(Model& model, const MicroBatch& batch, const StepTotals& totals,
                                           Recompute recompute, const StepObservers& observers);
/// Forward alone.
[[nodiscard]] LossReport evaluate_micro_batch(const Model& model, Context& context, const MicroBatch& batch,
                                              const StepTotals& totals, const StepObservers& observers);

}  // namespace granule
