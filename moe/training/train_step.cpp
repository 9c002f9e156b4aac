#include "moe/training/train_step.hpp"

#include "moe/training/bias_balance.hpp"
#include "optim/grad_norm.hpp"

namespace granule {
namespace {

/// The shares of each MoE layer's router, over all ranks.
std::vector<GradientShares> shares_of_ranks(Communicator& ranks, const RouterRecord& record) {
  std::vector<double> sums;  // balance and ce of each layer
  for (std::int64_t i = 0; i < record.layers(); ++i) {
    const GradientShares own = record.gradient_shares(i);
    sums.insert(sums.end(), {own.balance, own.ce});
  }
  ranks.all_reduce(std::span(sums), ReduceOp::sum, "router statistics").wait();
  std::vector<GradientShares> shares;
  for (std::size_t i = 0; i < sums.size(); i += 2) shares.push_back({sums[i], sums[i + 1]});
  return shares;
}

}  // namespace

StepResult step_gradients(ShardedModel& model, std::int64_t n, const StepTotals& totals, Recompute recompute,
                          RouterRecord& record, const NextMicroBatch& next) {
  model.ranks().ledger().begin_step(n);
  StepGradients gradients = model.compute_gradients(totals, recompute, record, next);
  model.ranks().ledger().begin_phase("update");
  const PhaseTimer timer(model.parameters().own_values(0).context().profile(), "optimizer");
  const double norm = gradients.norm.get();
  return {.losses = std::move(gradients.losses), .grad_norm = norm};
}

TrainStep::TrainStep(Context& context, ShardedModel& model, const TrainStepOptions& options)
    : context_(context),
      model_(model),
      options_(options),
      optimizer_(context, model.parameters(), options.adamw, options.decay,
                 model.layout().place_of_optimizer()),
      guard_(options.guard),
      routers_(context, model.model().moe_layers(), model.model().moe().n_routed_experts) {
  routers_.measure_balance(model.model().precision().gradients, model.model().config().hidden_size);
}

StepResult TrainStep::run(std::int64_t n, double lr, const NextMicroBatch& next) {
  StepResult result = step_gradients(model_, n, options_.totals, options_.recompute, routers_, next);
  result.verdict = guard_.judge(result.losses.ce, result.grad_norm);
  if (result.verdict == StepVerdict::apply) apply(n, lr, result.grad_norm);
  const PhaseTimer timer(context_.profile(), "router statistics");
  result.shares = shares_of_ranks(model_.ranks(), routers_);
  return result;
}

void TrainStep::apply(std::int64_t n, double lr, double grad_norm) {
  const PhaseTimer timer(context_.profile(), "optimizer");
  optimizer_.step(lr, clip_factor(grad_norm, options_.grad_clip));
  update_selection_bias(model_.model(), routers_);
  if (options_.replica_check_every > 0 && n % options_.replica_check_every == 0)
    model_.parameters().require_equal_replicas();
}

}  // namespace granule
