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
    : experts_(moe.n_routed_experts), router_(make_router(store, prefix, layer, model, moe)) {
  const ExpertBlocks blocks =
      expert_blocks(prefix, moe.n_routed_experts, model.hidden_size, moe.moe_intermediate_size);
  experts_w13_ = store.declare(blocks.w13);
  experts_w2_ = store.declare(blocks.w2);
  if (moe.n_shared_experts > 0) {
    shared_.emplace(store, prefix + ".shared_experts", model.hidden_size,
                    moe.n_shared_experts * moe.moe_intermediate_size);
  }
}

Var MoeLayer::routed(const Var& x_ND, const Routes& routes) const {
  const Routing routing = sort_by_expert(routes.sent_NK, experts_);
  const Var sent = dispatch(x_ND, routing);
  const Var computed = expert_ffn(sent, experts_w13_, experts_w2_, routing.offset_E1);
  return combine(computed, routes.weight_NK, routing);
}

Var MoeLayer::operator()(const Pass& pass, const Var& x_ND) const {
  const Routes routes = router_(pass, x_ND);
  const Var y = routed(x_ND, routes);
  if (!shared_) return y;
  const Var shared = (*shared_)(x_ND);
  return add(y, shared);
}

}  // namespace granule
