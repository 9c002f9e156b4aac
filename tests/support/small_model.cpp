#include "tests/support/small_model.hpp"

#include "core/random.hpp"

namespace granule::test {

ModelConfig small_model_config() {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 24;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.intermediate_size = 36;
  config.max_position_embeddings = 32;
  config.initializer_range = 0.2;  // large enough that every part of the model matters from the start
  return config;
}

MoeConfig small_moe_config() {
  MoeConfig config;
  config.n_routed_experts = 8;
  config.num_experts_per_tok = 3;
  config.n_shared_experts = 2;
  config.moe_intermediate_size = 10;
  config.first_k_dense_replace = 1;
  config.aux_loss_alpha = 0.05;
  return config;
}

SmallModel::SmallModel(DType dtype, int threads, const ModelConfig& config, const MoeConfig& moe)
    : context({.threads = threads, .poison = Poison::yes, .step_memory = std::int64_t{1} << 30}),
      model(context, config, moe, dtype, Gradients::yes),
      record(context, model.moe_layers(), moe.n_routed_experts) {
  model.parameters().initialise(7, config.initializer_range);
}

LossReport SmallModel::run(std::int64_t sequences, std::int64_t micro, Recompute recompute,
                           UnitObserver* units) {
  const StepTotals totals{sequences * kSmallSeq, sequences, sequences / micro};
  LossRecord losses(context, model.moe(), model.moe_layers());
  record.begin_step();
  model.parameters().begin_step();
  for (std::int64_t first = 0; first < sequences; first += micro) {
    train_micro_batch(model, small_batch(context, model.config(), first, micro), totals, recompute,
                      {.losses = &losses,
                       .routing = &record,
                       .balance_gradients = record.balance_gradients(),
                       .units = units});
  }
  model.parameters().finish_gradients();
  return losses.report();
}

LossReport trained(Model& model, const MicroBatch& batch, const StepTotals& totals, Recompute recompute,
                   StepObservers observers) {
  LossRecord losses(batch.token_N.context(), model.moe(), model.moe_layers());
  observers.losses = &losses;
  train_micro_batch(model, batch, totals, recompute, observers);
  return losses.report();
}

LossReport evaluated(const Model& model, Context& context, const MicroBatch& batch, const StepTotals& totals,
                     StepObservers observers, const EvaluationRouting& routing) {
  LossRecord losses(context, model.moe(), model.moe_layers());
  observers.losses = &losses;
  evaluate_micro_batch(model, context, batch, totals, observers, routing);
  return losses.report();
}

std::vector<double> SmallModel::gradients() const {
  return values_of(model.parameters().gradients());
}

std::vector<double> SmallModel::gradient(const std::string& name) const {
  const ParameterStore& store = model.parameters();
  return values_of(store.gradient_of(store.find(name)));
}

MicroBatch small_batch(Context& context, const ModelConfig& config, std::int64_t first, std::int64_t count) {
  const RandomStream random(3, "tokens");
  const auto token = [&](std::int64_t sequence, std::int64_t i) {
    const auto index = static_cast<std::uint64_t>(sequence * (kSmallSeq + 1) + i);
    return static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size), index));
  };
  const Shape shape{count * kSmallSeq};
  std::vector<std::int32_t> tokens, targets;
  for (std::int64_t s = 0; s < count; ++s) {
    for (std::int64_t i = 0; i < kSmallSeq; ++i) {
      tokens.push_back(token(first + s, i));
      targets.push_back(token(first + s, i + 1));
    }
  }
  return {ids_of(context, shape, tokens), ids_of(context, shape, targets), count, kSmallSeq};
}

}  // namespace granule::test
