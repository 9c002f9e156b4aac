// Where a layer's tokens go and with which weights: the deciding part of an MoE layer.
#pragma once
#include <functional>
#include <string>

#include "moe/config.hpp"
#include "moe/experts/row_order.hpp"
#include "moe/routing/forced_routing.hpp"
#include "moe/routing/routing_pass.hpp"
#include "nn/config.hpp"
#include "nn/parameters.hpp"

namespace granule {

struct Routes {
  RowOrder order;  ///< of the copies that are sent to an expert
  Var weight_NK;
};
/// Decides for x_ND, adds the layer's losses to the pass's side outputs, and reports its choice to the pass's
/// observer. It decides once: if the layer is recomputed, the first choice counts. Otherwise a score that
/// differs in its last bit would send a token to one expert and its gradient to another.
using Router = std::function<Routes(const Pass&, const Var& x_ND)>;

/// Declares under {prefix}.gate what the router of this configuration learns. If the routing is forced, the
/// router computes its scores, weights and losses all the same.
[[nodiscard]] Router make_router(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                                 const ModelConfig& model, const MoeConfig& moe,
                                 Routing routing = Routing::natural);

/// Applies capacity to the experts that tokens chose, reports the choice to the pass's observer, and
/// returns the order of the copies that are sent. Padding is not sent. If affinity_NE is undefined, all
/// tokens have equal rights.
[[nodiscard]] RowOrder order_and_report(const Pass& pass, const MoeConfig& moe, std::int64_t layer,
                                        const Choice& choice, const Tensor& affinity_NE);

/// Tells the pass's observer of choices, if there is one.
void report_choice(const Pass& pass, const ChoiceNote& note);

}  // namespace granule
