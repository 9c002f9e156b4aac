#include "moe/objective.hpp"

namespace granule {
namespace {

/// Share of the step's units that are here.
double unit_share(const MoeConfig& moe, const StepTotals& totals, std::int64_t units) {
  return static_cast<double>(units) /
         static_cast<double>(moe.seq_aux ? totals.sequences : totals.micro_batches);
}

LossReport report_of(const Model& model, double ce_sum, const std::vector<LayerLoss>& losses,
                     const StepTotals& totals) {
  LossReport report;
  report.ce = ce_sum * cross_entropy_weight(totals);
  for (const LayerLoss& loss : losses) {
    report.aux_by_layer.push_back(loss.value.value.item<double>() *
                                  unit_share(model.moe(), totals, loss.units));
  }
  return report;
}

Pass make_pass(Context& context, const MicroBatch& batch, std::vector<LayerLoss>& losses,
               const StepObservers& observers) {
  return {.context = context,
          .batch = batch.batch,
          .seq = batch.seq,
          .position_N = make_positions(context, batch.batch, batch.seq),
          .first_key_N = batch.first_key_N,
          .losses = &losses,
          .routing = observers.routing,
          .units = observers.units};
}

Tensor scalar(Context& context, double value) {
  Tensor tensor = Tensor::empty(context, {1}, DType::f64);
  *tensor.data<double>() = value;
  return tensor;
}

}  // namespace

double cross_entropy_weight(const StepTotals& totals) {
  return 1.0 / static_cast<double>(totals.target_tokens);
}

double balance_weight(const MoeConfig& moe, const StepTotals& totals, std::int64_t units) {
  return moe.aux_loss_alpha * unit_share(moe, totals, units);
}

void LossReport::add(const LossReport& other) {
  ce += other.ce;
  aux_by_layer.resize(std::max(aux_by_layer.size(), other.aux_by_layer.size()));
  for (std::size_t i = 0; i < other.aux_by_layer.size(); ++i) aux_by_layer[i] += other.aux_by_layer[i];
}

double LossReport::aux() const {
  double sum = 0.0;
  for (const double layer : aux_by_layer) sum += layer;
  return aux_by_layer.empty() ? 0.0 : sum / static_cast<double>(aux_by_layer.size());
}

LossReport train_micro_batch(Model& model, const MicroBatch& batch, const StepTotals& totals,
                             Recompute recompute, const StepObservers& observers) {
  Context& context = batch.token_N.context();
  std::vector<LayerLoss> losses;
  Pass pass = make_pass(context, batch, losses, observers);
  pass.recompute = recompute;
  Tape tape;
  std::vector<Var> outputs;
  {
    const Recording on(&tape);
    const PhaseTimer timer(context.profile(), "forward");
    outputs.push_back(model.network().loss_sum(pass, batch.token_N, batch.target_N));
  }
  std::vector<Tensor> seeds{scalar(context, cross_entropy_weight(totals))};
  for (const LayerLoss& loss : losses) {
    outputs.push_back(loss.value);
    seeds.push_back(scalar(context, balance_weight(model.moe(), totals, loss.units)));
  }
  LossReport report = report_of(model, outputs.front().value.item<double>(), losses, totals);
  const PhaseTimer timer(context.profile(), "backward");
  tape.backward(outputs, seeds);
  return report;
}

LossReport evaluate_micro_batch(const Model& model, Context& context, const MicroBatch& batch,
                                const StepTotals& totals, const StepObservers& observers) {
  std::vector<LayerLoss> losses;
  const Pass pass = make_pass(context, batch, losses, observers);
  const Var ce = model.network().loss_sum(pass, batch.token_N, batch.target_N);
  return report_of(model, ce.value.item<double>(), losses, totals);
}

}  // namespace granule
