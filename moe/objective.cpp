#include "moe/objective.hpp"

#include <algorithm>
#include <array>
#include <numeric>

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

LossReport report_of(const Model& model, double ce_sum, const std::vector<LayerLoss>& losses,
                     const StepTotals& totals) {
  LossReport report;
  report.ce = ce_sum * cross_entropy_weight(totals);
  for (const LayerLoss& loss : losses) {
    const double part =
        loss.value.value.item<double>() * unit_share(model.moe(), totals, loss.kind, loss.units);
    if (loss.kind == LossKind::device) report.device_aux_by_layer.push_back(part);
    if (loss.kind == LossKind::z) report.z_by_layer.push_back(part);
    if (loss.kind != LossKind::balance) continue;
    report.aux_by_layer.push_back(part);
    report.alpha_by_layer.push_back(loss_weight(model.moe(), totals, loss.kind, loss.units));
  }
  return report;
}

Pass make_pass(Context& context, const MicroBatch& batch, std::vector<LayerLoss>& losses,
               const StepObservers& observers, Capacity capacity) {
  return {.context = context,
          .batch = batch.batch,
          .seq = batch.seq,
          .position_N = make_positions(context, batch.batch, batch.seq),
          .first_key_N = batch.first_key_N,
          .token_N = batch.token_N,
          .valid_N = batch.valid_N,
          .capacity = capacity,
          .losses = &losses,
          .routing = observers.routing,
          .units = observers.units};
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double mean(const std::vector<double>& values) {
  return values.empty() ? 0.0 : sum(values) / static_cast<double>(values.size());
}

void add_up(std::vector<double>& total, const std::vector<double>& part) {
  total.resize(std::max(total.size(), part.size()));
  for (std::size_t i = 0; i < part.size(); ++i) total[i] += part[i];
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

double loss_weight(const MoeConfig& moe, const StepTotals& totals, LossKind kind, std::int64_t units) {
  return alpha_of(moe, kind) * unit_share(moe, totals, kind, units);
}

void LossReport::add(const LossReport& other) {
  ce += other.ce;
  add_up(aux_by_layer, other.aux_by_layer);
  add_up(device_aux_by_layer, other.device_aux_by_layer);
  add_up(z_by_layer, other.z_by_layer);
  add_up(alpha_by_layer, other.alpha_by_layer);
}

void LossReport::add_ranks(Communicator& ranks) {
  const std::array parts{&aux_by_layer, &device_aux_by_layer, &z_by_layer, &alpha_by_layer};
  // A rank that had nothing to do does not know which layers have which loss.
  std::array<std::int64_t, parts.size()> sizes{};
  for (std::size_t i = 0; i < parts.size(); ++i) sizes[i] = std::ssize(*parts[i]);
  ranks.all_reduce(std::span(sizes), ReduceOp::max, "loss sizes").wait();
  std::vector<double> sums{ce};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i]->resize(static_cast<std::size_t>(sizes[i]));
    sums.insert(sums.end(), parts[i]->begin(), parts[i]->end());
  }
  ranks.all_reduce(std::span(sums), ReduceOp::sum, "losses").wait();
  ce = sums[0];
  auto from = sums.begin() + 1;
  for (std::vector<double>* const part : parts) {
    std::copy_n(from, part->size(), part->begin());
    from += std::ssize(*part);
  }
}

double LossReport::aux() const {
  return mean(aux_by_layer);
}

double LossReport::device_aux() const {
  return mean(device_aux_by_layer);
}

double LossReport::z() const {
  return sum(z_by_layer);
}

LossReport train_micro_batch(Model& model, const MicroBatch& batch, const StepTotals& totals,
                             Recompute recompute, const StepObservers& observers) {
  Context& context = batch.token_N.context();
  std::vector<LayerLoss> losses;
  Pass pass = make_pass(context, batch, losses, observers, Capacity::limited);
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
    const double weight = loss_weight(model.moe(), totals, loss.kind, loss.units);
    if (weight == 0.0) continue;  // switched off, so there is no gradient
    outputs.push_back(loss.value);
    seeds.push_back(scalar(context, weight));
  }
  LossReport report = report_of(model, outputs.front().value.item<double>(), losses, totals);
  const PhaseTimer timer(context.profile(), "backward");
  tape.backward(outputs, seeds);
  return report;
}

LossReport evaluate_micro_batch(const Model& model, Context& context, const MicroBatch& batch,
                                const StepTotals& totals, const StepObservers& observers, Capacity capacity) {
  std::vector<LayerLoss> losses;
  const Pass pass = make_pass(context, batch, losses, observers, capacity);
  const Var ce = model.network().loss_sum(pass, batch.token_N, batch.target_N);
  return report_of(model, ce.value.item<double>(), losses, totals);
}

}  // namespace granule
