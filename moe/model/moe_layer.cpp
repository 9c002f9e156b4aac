#include "moe/model/moe_layer.hpp"

#include "autograd/functions.hpp"
#include "moe/functions.hpp"

namespace granule {
namespace {

/// The local experts of a layer, in two blocks. For users, each expert still has three matrices, which are
/// parts of the blocks.
struct ExpertBlocks {
  BlockSpec w13, w2;
};
ExpertBlocks expert_blocks(const std::string& prefix, std::int64_t first, std::int64_t experts,
                           std::int64_t hidden, std::int64_t width) {
  ExpertBlocks blocks{{{experts, 2 * width, hidden}, {}, ParameterRole::matrix, ParameterGroup::expert},
                      {{experts, hidden, width}, {}, ParameterRole::matrix, ParameterGroup::expert}};
  for (std::int64_t e = first; e < first + experts; ++e) {
    const std::string name = fmt::format("{}.experts.{}", prefix, e);
    blocks.w13.parts.push_back({name + ".gate_proj.weight", {width, hidden}});
    blocks.w13.parts.push_back({name + ".up_proj.weight", {width, hidden}});
    blocks.w2.parts.push_back({name + ".down_proj.weight", {hidden, width}});
  }
  return blocks;
}

}  // namespace

MoeLayer::MoeLayer(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                   const ModelConfig& model, const MoeConfig& moe, const ExpertPlacement& placement,
                   Routing routing)
    : experts_(moe.n_routed_experts),
      placement_(placement),
      router_(make_router(store, prefix, layer, model, moe, routing)) {
  const ExpertBlocks blocks = expert_blocks(prefix, placement.first(experts_), placement.local(experts_),
                                            model.hidden_size, moe.moe_intermediate_size);
  experts_w13_ = store.declare(blocks.w13);
  experts_w2_ = store.declare(blocks.w2);
  if (moe.n_shared_experts > 0) {
    shared_.emplace(store, prefix + ".shared_experts", model.hidden_size,
                    moe.n_shared_experts * moe.moe_intermediate_size);
  }
}

Var MoeLayer::run_experts(const Pass& pass, const Var& sent_RD, const RowOrder& order) const {
  if (!placement_.shared_out()) {
    const auto offset = order.offset_E1.get();
    return expert_ffn(sent_RD, experts_w13_, experts_w2_, {offset.begin(), offset.end()});
  }
  Communicator& ranks = *placement_.ranks;
  const ExchangePlan plan = once_per_pass(pass, [&] {
    return ExchangePlan(gather_counts(ranks, order), ranks.size(), ranks.rank(), placement_.receive_limit);
  });
  return remote_experts(ranks, sent_RD, experts_w13_, experts_w2_, plan);
}

Var MoeLayer::run_routed_experts(const Pass& pass, const Var& x_ND, const Routes& routes) const {
  const Var sent = dispatch(x_ND, routes.order);
  const Var outputs = run_experts(pass, sent, routes.order);
  return combine(outputs, routes.weight_NK, routes.order);
}

Var MoeLayer::operator()(const Pass& pass, const Var& x_ND) const {
  const Routes routes = router_(pass, x_ND);
  const Var y = run_routed_experts(pass, x_ND, routes);
  if (!shared_ || routing_of(pass).ablation.shared == SharedExperts::left_out) return y;
  const Var shared = (*shared_)(x_ND);
  return add(y, shared);
}

}  // namespace granule
