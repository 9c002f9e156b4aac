// The training objective, and what one micro-batch contributes to it. Only here losses get their weights, so
// no split of a batch over micro-batches or ranks can change them.
#pragma once
#include "moe/model/model.hpp"
#include "moe/routing/routing_pass.hpp"
#include "moe/training/loss_record.hpp"

namespace granule {

/// Totals of a whole step, over all its micro-batches and ranks. They are known before its first backward.
struct StepTotals {
  std::int64_t target_tokens;
  std::int64_t sequences;
  std::int64_t micro_batches;
};

/// Objective = Σ CE / target_tokens
///   + Σ over MoE layers of [aux_loss_alpha · mean over units of L + device_loss_alpha · mean over sequences
///     of L_dev + z_loss_alpha · mean over tokens of z].
/// A unit is a sequence (seq_aux) or a micro-batch. The weight of a term is dObjective / d(term).
[[nodiscard]] double cross_entropy_weight(const StepTotals& totals);
/// The weight of the mean of a layer's loss over `units` of the step's units of its kind.
[[nodiscard]] double loss_weight(const MoeConfig& moe, const StepTotals& totals, LossKind kind,
                                 std::int64_t units);

struct MicroBatch {
  Tensor token_N, target_N;  ///< int32, one sequence after the other
  std::int64_t batch, seq;
  Tensor first_key_N{};      ///< int32, see Pass; undefined: no document mask
  Tensor valid_N{};          ///< int32: 0 marks padding; undefined: there is none
  std::int64_t padding = 0;  ///< how many rows are padding
};

struct StepObservers {
  LossRecord* losses = nullptr;
  RoutingObserver* routing = nullptr;
  std::span<const Tensor> balance_gradients{};  ///< see RoutingPass
  UnitObserver* units = nullptr;
};

/// Forward and backward of one micro-batch. It adds its part to the gradients in model.parameters(), and
/// tells the observers. The device's results are not read, except for the sizes of each MoE layer's experts.
void train_micro_batch(Model& model, const MicroBatch& batch, const StepTotals& totals, Recompute recompute,
                       const StepObservers& observers);

/// What MoE layers do otherwise than in training. By default experts take every token.
struct EvaluationRouting {
  Capacity capacity = Capacity::unlimited;
  Ablation ablation{};
  ChoiceObserver* choices = nullptr;
};
/// Only forward.
void evaluate_micro_batch(const Model& model, Context& context, const MicroBatch& batch,
                          const StepTotals& totals, const StepObservers& observers,
                          const EvaluationRouting& routing = {});

}  // namespace granule
