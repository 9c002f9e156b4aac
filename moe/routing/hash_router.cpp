#include "moe/routing/hash_router.hpp"

#include "core/kernels/fill.hpp"
#include "moe/ops/hash_experts.hpp"

namespace granule {

Routes HashRouter::operator()(const Pass& pass, const Var& x_ND) const {
  const std::int64_t n = x_ND.value.shape()[0], k = config_.num_experts_per_tok;
  GRANULE_CHECK(pass.token_N.defined() && pass.token_N.numel() == n,
                "hash router: {} rows, and not their tokens", n);
  const RoutingPass routing = routing_of(pass);
  GRANULE_CHECK(routing.ablation.masked_experts == 0, "hash router: it has no scores to mask experts by");
  Tensor id_NK;  // only for an observer of choices
  RowOrder order = once_per_pass(pass, [&] {
    const Choice choice =
        routing_ == Routing::natural
            ? Choice{hash_experts(pass.token_N, config_.n_routed_experts, k, config_.hash_seed)}
            : forced_choice(pass.context, config_, n, routing_);
    if (routing.choices != nullptr) id_NK = choice.id_NK;
    return order_and_report(pass, config_, layer_, choice, {});
  });
  const Tensor weights = Tensor::empty(pass.context, {n, k}, wide_of(x_ND.value.dtype()));
  fill(weights, config_.routed_scaling_factor / static_cast<double>(k));
  report_choice(pass, {layer_, id_NK, weights});
  return {std::move(order), {weights, kConstant}};
}

}  // namespace granule
