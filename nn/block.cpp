#include "nn/block.hpp"

#include "autograd/functions.hpp"

namespace granule {

Block::Block(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& config,
             const MakeFeedForward& make_feed_forward)
    : eps_(config.rms_norm_eps),
      input_norm_(
          store.declare(prefix + ".input_layernorm.weight", {config.hidden_size}, ParameterRole::norm)),
      post_norm_(store.declare(prefix + ".post_attention_layernorm.weight", {config.hidden_size},
                               ParameterRole::norm)),
      attention_(store, prefix + ".self_attn", layer, config),
      feed_forward_(make_feed_forward(store, prefix + ".mlp", layer)) {}

Var Block::run(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  const Var normed = rms_norm(x_ND, input_norm_, eps_);
  const Var attended = attention_(pass, rope_table, normed);
  const Var u = add(x_ND, attended);
  const Var u_normed = rms_norm(u, post_norm_, eps_);
  const Var fed = feed_forward_(pass, u_normed);
  return add(u, fed);
}

Var Block::run_recomputed(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  // Outputs of the region: the layer's, then its losses. What the losses are is noted in the first run.
  std::vector<LayerLoss> noted;
  const Region region = [this, pass, &rope_table, first = &noted](Kept& kept,
                                                                  const std::vector<Var>& inputs) {
    std::vector<LayerLoss> losses;
    Pass inner = pass;
    inner.kept = &kept;
    inner.losses = &losses;
    std::vector<Var> outputs{run(inner, rope_table, inputs[0])};
    for (const LayerLoss& loss : losses) outputs.push_back(loss.value);
    if (!kept.replaying()) *first = losses;
    return outputs;
  };
  const std::vector<Var> outputs = recompute(region, {x_ND});
  for (std::size_t i = 0; i < noted.size() && pass.losses != nullptr; ++i) {
    pass.losses->push_back({noted[i].layer, outputs[i + 1], noted[i].units});
  }
  return outputs[0];
}

Var Block::operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  const bool again = pass.recompute == Recompute::full && current_tape() != nullptr;
  return again ? run_recomputed(pass, rope_table, x_ND) : run(pass, rope_table, x_ND);
}

}  // namespace granule
