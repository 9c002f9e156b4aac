#include "moe/routing/routing_pass.hpp"

namespace granule {

Tensor RoutingPass::balance_gradient(std::int64_t layer) const {
  return balance_gradients.empty() ? Tensor{} : balance_gradients[static_cast<std::size_t>(layer)];
}

RoutingPass routing_of(const Pass& pass) {
  if (!pass.extension.has_value()) return {};
  const auto* const routing = std::any_cast<RoutingPass>(&pass.extension);
  GRANULE_CHECK(routing != nullptr, "MoE layer: the pass has an extension for other layers");
  return *routing;
}

const LayerLoss& loss_of(const SideOutput& output) {
  const auto* const loss = std::any_cast<LayerLoss>(&output.what);
  GRANULE_CHECK(loss != nullptr, "MoE layer: a side output is not a loss");
  return *loss;
}

}  // namespace granule
