#include "moe/moe_layer.hpp"

#include "autograd/functions.hpp"
#include "moe/functions.hpp"

namespace granule {
namespace {

/// All experts of a layer in two blocks; an expert's three matrices stay users' names for parts of them.
struct ExpertBlocks {
  BlockSpec w13, w2;
};
ExpertBlocks expert_blocks(const std::string& prefix, std::int64_t experts, std::int64_t hidden,
                           std::int64_t width) {
  ExpertBlocks blocks{{{experts, 2 * width, hidden}, {}, ParameterRole::matrix, ParameterGroup::expert},
                      {{experts, hidden, width}, {}, ParameterRole::matrix, ParameterGroup::expert}};
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::string name = fmt::format("{}.experts.{}", prefix, e);
    blocks.w13.parts.push_back({name + ".gate_proj.weight", {width, hidden}});
    blocks.w13.parts.push_back({name + ".up_proj.weight", {width, hidden}});
    blocks.w2.parts.push_back({name + ".down_proj.weight", {hidden, width}});
  }
  return blocks;
}

}  // namespace

MoeLayer::MoeLayer(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                   const ModelConfig& model, const MoeConfig& moe)
    : layer_(layer), config_(moe) {
  gate_ = store.declare(prefix + ".gate.weight", {moe.n_routed_experts, model.hidden_size});
  const ExpertBlocks blocks =
      expert_blocks(prefix, moe.n_routed_experts, model.hidden_size, moe.moe_intermediate_size);
  experts_w13_ = store.declare(blocks.w13);
  experts_w2_ = store.declare(blocks.w2);
  if (moe.n_shared_experts > 0) {
    shared_.emplace(store, prefix + ".shared_experts", model.hidden_size,
                    moe.n_shared_experts * moe.moe_intermediate_size);
  }
}

Tensor MoeLayer::choose(const Pass& pass, const Tensor& score_NE) const {
  // Chosen once: a recomputed forward must not choose again, or a score that moved in its last bit would send
  // a token elsewhere than its gradient goes. It must not be counted twice either.
  const auto choose_and_tell = [&] {
    Tensor ids = select_top_k(score_NE, config_.num_experts_per_tok);
    if (pass.routing != nullptr) {
      pass.routing->on_routing(
          layer_, count_choices(ids, config_.n_routed_experts, 1).view({config_.n_routed_experts}), score_NE);
    }
    return ids;
  };
  return pass.kept != nullptr ? pass.kept->once(choose_and_tell) : choose_and_tell();
}

void MoeLayer::leave_balance_loss(const Pass& pass, const Var& scores, const Tensor& id_NK) const {
  if (pass.losses == nullptr) return;
  const std::int64_t units = config_.seq_aux ? pass.batch : 1;
  const Tensor counts = count_choices(id_NK, config_.n_routed_experts, units);
  pass.losses->push_back({layer_, balance_loss(scores, counts, config_.num_experts_per_tok), units});
}

Var MoeLayer::routed(const Var& x_ND, const Var& scores, const Tensor& id_NK) const {
  const Routing routing = sort_by_expert(id_NK, config_.n_routed_experts);
  const Var weights = gate_weights(scores, id_NK, config_.norm_topk_prob);
  const Var sent = dispatch(x_ND, routing);
  const Var computed = expert_ffn(sent, experts_w13_, experts_w2_, routing.offset_E1);
  return combine(computed, weights, routing);
}

Var MoeLayer::operator()(const Pass& pass, const Var& x_ND) const {
  const Var logits = linear(x_ND, gate_);
  const Var scores = softmax(logits);
  const Tensor ids = choose(pass, scores.value);
  leave_balance_loss(pass, scores, ids);
  const Var y = routed(x_ND, scores, ids);
  if (!shared_) return y;
  const Var shared = (*shared_)(x_ND);
  return add(y, shared);
}

}  // namespace granule
