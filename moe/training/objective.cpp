#include "moe/training/objective.hpp"

#include "core/transfer.hpp"

namespace granule {
namespace {

/// The fraction of the step's units that are here.
double unit_share(const MoeConfig& moe, const StepTotals& totals, LossKind kind, std::int64_t units) {
  std::int64_t all = totals.sequences;
  if (kind == LossKind::balance && !moe.seq_aux) all = totals.micro_batches;
  if (kind == LossKind::z) all = totals.target_tokens;
  return static_cast<double>(units) / static_cast<double>(all);
}

double alpha_of(const MoeConfig& moe, LossKind kind) {
  switch (kind) {
    case LossKind::balance:
      return moe.aux_loss_alpha;
    case LossKind::device:
      return moe.device_loss_alpha;
    case LossKind::z:
      return moe.z_loss_alpha;
  }
  GRANULE_ASSERT(false, "a loss of no kind");
}

/// Adds what a forward pass found to the step's losses.
void record_losses(LossRecord& record, const MoeConfig& moe, const StepTotals& totals, const Var& ce,
                   const std::vector<SideOutput>& side_outputs) {
  record.add_cross_entropy(ce.value, cross_entropy_weight(totals));
  for (const SideOutput& output : side_outputs) {
    const LayerLoss& loss = loss_of(output);
    record.add(loss, output.value.value, unit_share(moe, totals, loss.kind, loss.units));
    if (loss.kind == LossKind::balance)
      record.add_alpha(loss.layer, loss_weight(moe, totals, loss.kind, loss.units));
  }
}

Pass make_pass(Context& context, const MicroBatch& batch, std::vector<SideOutput>& side_outputs,
               const StepObservers& observers, const EvaluationRouting& routing) {
  return {.context = context,
          .batch = batch.batch,
          .seq = batch.seq,
          .position_N = make_positions(context, batch.batch, batch.seq),
          .first_key_N = batch.first_key_N,
          .token_N = batch.token_N,
          .valid_N = batch.valid_N,
          .padding = batch.padding,
          .side_outputs = &side_outputs,
          .extension = RoutingPass{.capacity = routing.capacity,
                                   .ablation = routing.ablation,
                                   .observer = observers.routing,
                                   .choices = routing.choices,
                                   .balance_gradients = observers.balance_gradients},
          .units = observers.units};
}

/// The gradients with which backward begins, brought to the device in one piece.
std::vector<Tensor> seeds_of(Context& context, const std::vector<double>& weights) {
  const auto count = static_cast<std::int64_t>(weights.size());
  const Tensor all = Tensor::empty(context, {count}, DType::f64);
  write<double>(weights, all);
  std::vector<Tensor> seeds;
  for (std::int64_t i = 0; i < count; ++i) seeds.push_back(all.slice(i, {1}));
  return seeds;
}

}  // namespace

double cross_entropy_weight(const StepTotals& totals) {
  return 1.0 / static_cast<double>(totals.target_tokens);
}

double loss_weight(const MoeConfig& moe, const StepTotals& totals, LossKind kind, std::int64_t units) {
  return alpha_of(moe, kind) * unit_share(moe, totals, kind, units);
}

void train_micro_batch(Model& model, const MicroBatch& batch, const StepTotals& totals, Recompute recompute,
                       const StepObservers& observers) {
  Context& context = batch.token_N.context();
  std::vector<SideOutput> side_outputs;
  Pass pass = make_pass(context, batch, side_outputs, observers, {.capacity = Capacity::limited});
  pass.recompute = recompute;
  Tape tape;
  std::vector<Var> outputs;
  {
    const Recording on(&tape);
    const PhaseTimer timer(context.profile(), "forward");
    outputs.push_back(model.network().loss_sum(pass, batch.token_N, batch.target_N));
  }
  if (observers.losses != nullptr)
    record_losses(*observers.losses, model.moe(), totals, outputs.front(), side_outputs);
  std::vector<double> weights{cross_entropy_weight(totals)};
  for (const SideOutput& output : side_outputs) {
    const LayerLoss& loss = loss_of(output);
    const double weight = loss_weight(model.moe(), totals, loss.kind, loss.units);
    if (weight == 0.0) continue;  // switched off, so there is no gradient
    outputs.push_back(output.value);
    weights.push_back(weight);
  }
  const PhaseTimer timer(context.profile(), "backward");
  tape.backward(outputs, seeds_of(context, weights));
}

void evaluate_micro_batch(const Model& model, Context& context, const MicroBatch& batch,
                          const StepTotals& totals, const StepObservers& observers,
                          const EvaluationRouting& routing) {
  std::vector<SideOutput> side_outputs;
  const Pass pass = make_pass(context, batch, side_outputs, observers, routing);
  const Var ce = model.network().loss_sum(pass, batch.token_N, batch.target_N);
  if (observers.losses != nullptr) record_losses(*observers.losses, model.moe(), totals, ce, side_outputs);
}

}  // namespace granule
