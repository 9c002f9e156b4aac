#include "moe/routing/top_k_router.hpp"

#include "autograd/functions.hpp"
#include "moe/functions.hpp"
#include "moe/ops/count_choices.hpp"

namespace granule {
TopKRouter::TopKRouter(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                       const ModelConfig& model, const MoeConfig& moe, Routing routing)
    : layer_(layer),
      config_(moe),
      routing_(routing),
      rule_(selection_rule(moe)),
      gate_(store.declare(prefix + ".gate.weight", {moe.n_routed_experts, model.hidden_size})) {
  if (moe.has_selection_bias())
    bias_ = store.declare_state(prefix + ".gate.e_score_correction_bias", {moe.n_routed_experts});
}

Var TopKRouter::score(const Var& logit_NE) const {
  return config_.scoring_func == ScoringFunction::sigmoid ? sigmoid(logit_NE) : softmax(logit_NE);
}

SelectionRule TopKRouter::rule_of(const Pass& pass) const {
  SelectionRule rule = rule_;
  rule.masked = routing_of(pass).ablation.masked_experts;
  return rule;
}

Choice TopKRouter::choose(const Tensor& score_NE, const SelectionRule& rule) const {
  if (routing_ == Routing::natural) return {select_experts(score_NE, bias(), rule)};
  GRANULE_CHECK(rule.masked == 0, "router: no expert can be masked if routing is forced");
  return forced_choice(score_NE.context(), config_, score_NE.shape()[0], routing_);
}

void TopKRouter::add_losses(const Pass& pass, const Var& x_ND, const Var& logit_NE, const Tensor& score_NE,
                            const Tensor& id_NK) const {
  if (pass.side_outputs == nullptr) return;
  const auto add_loss = [&](LossKind kind, const Var& value, std::int64_t units) {
    pass.side_outputs->push_back({value, LayerLoss{kind, layer_, units}});
  };
  const std::int64_t experts = config_.n_routed_experts, k = config_.num_experts_per_tok;
  // The losses balance what the scores want. So they count a choice without the bias and without capacity.
  const Tensor count_BE = once_per_pass(pass, [&] {
    const Tensor ids = bias_ != nullptr ? select_experts(score_NE, {}, rule_of(pass)) : id_NK;
    return count_choices(ids, experts, pass.batch, pass.valid_N);
  });
  const Var branch = balance_branch(logit_NE, x_ND.value, routing_of(pass).balance_gradient(layer_));
  const Var scores = score(branch);
  const Var p = config_.scoring_func == ScoringFunction::sigmoid ? normalise_rows(scores) : scores;
  const Tensor count_UE = config_.seq_aux ? count_BE : sum_units(count_BE);
  const Var balance = balance_loss(p, count_UE, pass.valid_N, {.choices = k});
  add_loss(LossKind::balance, balance, config_.seq_aux ? pass.batch : 1);
  if (config_.device_groups > 1) {
    const Var device =
        balance_loss(p, count_BE, pass.valid_N, {.choices = k, .devices = config_.device_groups});
    add_loss(LossKind::device, device, pass.batch);
  }
  const Var z = router_z(branch, pass.valid_N);
  add_loss(LossKind::z, z, pass.tokens());
}

Routes TopKRouter::operator()(const Pass& pass, const Var& x_ND) const {
  // Equal tokens must choose equally, so no score may depend on how many tokens there are. Scores that are
  // close must stay apart, so they are not rounded to bf16.
  const Var logits = linear(x_ND, gate_, {OneRow::like_others, Rounding::none});
  const Var scores = score(logits);
  const Choice choice = once_per_pass(pass, [&] { return choose(scores.value, rule_of(pass)); });
  add_losses(pass, x_ND, logits, scores.value, choice.id_NK);
  RowOrder order =
      once_per_pass(pass, [&] { return order_and_report(pass, config_, layer_, choice, scores.value); });
  const Var weights = gate_weights(
      scores, choice.id_NK, {.normalise = config_.norm_topk_prob, .factor = config_.routed_scaling_factor});
  report_choice(pass, {layer_, choice.id_NK, weights.value});
  return {std::move(order), weights};
}

}  // namespace granule
