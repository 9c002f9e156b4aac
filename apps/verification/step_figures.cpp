#include "apps/verification/step_figures.hpp"

#include <algorithm>
#include <cmath>

#include "core/kernels/accumulate.hpp"
#include "distributed/communicators/device_carrier.hpp"
#include "moe/training/train_step.hpp"

namespace granule {
namespace {

/// This rank's parts of the summed gradients, one after the other.
Tensor own_gradients(Context& context, const ShardedParameters& parameters) {
  const DType dtype = parameters.store().precision().gradients;
  const ShardPlan& plan = parameters.plan();
  const Tensor parts = Tensor::empty(context, {plan.trainable.own}, dtype, MemoryCategory::communication);
  for (std::size_t i = 0; i < plan.trainable.shards; ++i)
    accumulate(parameters.own_gradients(i),
               {parts.slice(plan.shards[i].offset, {plan.shards[i].size()}), 0.0});
  return parts;
}

double relative(double a, double b) {
  const double difference = std::abs(a - b);
  if (std::isnan(difference)) return INFINITY;
  return difference == 0.0 ? 0.0 : difference / std::abs(b);
}

double largest_of(const std::vector<double>& values) {
  double largest = 0.0;
  for (const double value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

double relative(const std::vector<double>& a, const std::vector<double>& b, double least_scale) {
  double difference = a.size() == b.size() ? 0.0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double d = std::abs(a[i] - b[i]);
    difference = std::isnan(d) ? INFINITY : std::max(difference, d);
  }
  return difference == 0.0 ? 0.0 : difference / std::max(largest_of(b), least_scale);
}

// For float64, the tolerance is for sums of some thousand terms in another order. For float32, it is what was
// measured (2e-7 for losses and 4e-6 for norms), and some room. A wrong mean or a loss of local counts shows
// at 1e-3 and above. `noise` times `tensor` is a few roundings of the dtype. In bf16
// every layout rounds the same activations, token by token, so its sums differ as those of float32 do.
struct Tolerances {
  double loss, norm, tensor, noise;
};
Tolerances tolerances_of(DType dtype) {
  if (dtype == DType::f64) return {.loss = 1e-12, .norm = 1e-11, .tensor = 1e-10, .noise = 1e-5};
  return {.loss = 1e-6, .norm = 2e-5, .tensor = 1e-4, .noise = 1e-3};
}

}  // namespace

StepFigures step_figures(Communicator& ranks, const StepInput& input, const ParallelLayout& layout) {
  const RunConfig& config = input.config;
  Context context(context_options(config, thread_count(config, ranks.size()), input.gpu));
  const CarriedTensors carried(ranks, context, carrier_options(config));
  ShardedModel sharded(context, ranks, config.model, config.moe, config.train.dtype, layout);
  ShardedParameters& parameters = sharded.parameters();
  parameters.initialise(static_cast<std::uint64_t>(config.train.seed), config.model.initializer_range);
  RouterRecord record(context, sharded.model().moe_layers(), config.moe.n_routed_experts);
  std::int64_t next = ranks.rank() * (input.totals.micro_batches / ranks.size());
  const StepResult step = step_gradients(sharded, 1, input.totals, config.train.recompute, record,
                                         [&] { return input.micro_batch(context, next++); });
  const LossReport& losses = step.losses;
  StepFigures figures{losses.ce, losses.aux(), losses.device_aux(), losses.z(), step.grad_norm};
  figures.counts.assign(record.counts().begin(), record.counts().end());
  const ArenaPart gradients{own_gradients(context, parameters), Extent::parts, Covers::trainable};
  const auto tensors = global_tensors(config.model, config.moe, parameters.plan().position);
  for (const TensorToSave& tensor : gathered(parameters, gradients, tensors, "")) {
    std::vector<double> values = values_read(tensor);  // all ranks do this together
    if (ranks.rank() == 0) figures.gradients[tensor.spec.name] = std::move(values);
  }
  return figures;
}

FigureDifferences differences(const StepFigures& figures, const StepFigures& reference, DType dtype) {
  FigureDifferences result{relative(figures.ce, reference.ce), relative(figures.aux, reference.aux),
                           relative(figures.device_aux, reference.device_aux),
                           relative(figures.z, reference.z),
                           relative(figures.grad_norm, reference.grad_norm)};
  for (std::size_t i = 0; i < reference.counts.size(); ++i)
    result.other_choices += std::abs(figures.counts[i] - reference.counts[i]);
  double largest = 0.0;
  for (const auto& [name, gradient] : reference.gradients) largest = std::max(largest, largest_of(gradient));
  for (const auto& [name, gradient] : reference.gradients) {
    const auto found = figures.gradients.find(name);
    const double difference = found == figures.gradients.end()
                                  ? INFINITY
                                  : relative(found->second, gradient, tolerances_of(dtype).noise * largest);
    if (result.parameter.empty() || difference > result.gradient) {
      result.gradient = difference;
      result.parameter = name;
    }
  }
  return result;
}

bool FigureDifferences::hold(DType dtype) const {
  const Tolerances most = tolerances_of(dtype);
  return std::max({ce, aux, device_aux, z}) <= most.loss && grad_norm <= most.norm &&
         gradient <= most.tensor && other_choices == 0;
}

}  // namespace granule
