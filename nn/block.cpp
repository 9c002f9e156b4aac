#include "nn/block.hpp"

#include "autograd/functions.hpp"

namespace granule {
namespace {

/// A part of a layer. It maps the layer's input to its output, and appends its side outputs to those of the
/// pass.
using Part = std::function<Var(const Pass&, const Var& x_ND)>;

Var run_recomputed(const Part& part, const Pass& pass, const Var& x_ND) {
  // The region returns the part's output, then its side outputs. The first run records what they are.
  std::vector<SideOutput> recorded;
  const Region region = [part, pass, first = &recorded](Kept& kept, const std::vector<Var>& inputs) {
    std::vector<SideOutput> side_outputs;
    Pass inner = pass;
    inner.kept = &kept;
    if (pass.side_outputs != nullptr) inner.side_outputs = &side_outputs;
    std::vector<Var> outputs{part(inner, inputs[0])};
    for (const SideOutput& side : side_outputs) outputs.push_back(side.value);
    if (!kept.replaying()) *first = std::move(side_outputs);
    return outputs;
  };
  const std::vector<Var> outputs = recompute(region, {x_ND});
  for (std::size_t i = 0; i < recorded.size(); ++i)
    pass.side_outputs->push_back({outputs[i + 1], std::move(recorded[i].what)});
  return outputs[0];
}

}  // namespace

Block::Block(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& config,
             const MakeAttention& make_attention, const MakeFeedForward& make_feed_forward)
    : eps_(config.rms_norm_eps),
      input_norm_(
          store.declare(prefix + ".input_layernorm.weight", {config.hidden_size}, ParameterRole::norm)),
      post_norm_(store.declare(prefix + ".post_attention_layernorm.weight", {config.hidden_size},
                               ParameterRole::norm)),
      attention_(make_attention(store, prefix + ".self_attn", layer)),
      feed_forward_(make_feed_forward(store, prefix + ".mlp", layer)) {}

Var Block::attend(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  const Var normed = rms_norm(x_ND, input_norm_, eps_);
  const Var attended = attention_(pass, rope_table, normed);
  return add(x_ND, attended);
}

Var Block::feed(const Pass& pass, const Var& u_ND) const {
  const Var normed = rms_norm(u_ND, post_norm_, eps_);
  const Var fed = feed_forward_(pass, normed);
  return add(u_ND, fed);
}

Var Block::operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  const auto feed_part = [this](const Pass& inner, const Var& u_ND) { return feed(inner, u_ND); };
  const auto whole = [this, rope_table](const Pass& inner, const Var& inner_x_ND) {
    const Var u = attend(inner, rope_table, inner_x_ND);
    return feed(inner, u);
  };
  if (current_tape() == nullptr || pass.recompute == Recompute::none) return whole(pass, x_ND);
  if (pass.recompute == Recompute::full) return run_recomputed(whole, pass, x_ND);
  const Var u = attend(pass, rope_table, x_ND);
  return run_recomputed(feed_part, pass, u);
}

}  // namespace granule
