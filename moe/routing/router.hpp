// Where a layer's tokens go and with which weights: the deciding part of an MoE layer.
#pragma once
#include <functional>
#include <string>

#include "moe/config.hpp"
#include "moe/experts/row_order.hpp"
#include "nn/config.hpp"
#include "nn/parameters.hpp"
#include "nn/pass.hpp"

namespace granule {

struct Routes {
  RowOrder order;  ///< of the copies that are sent to an expert
  Var weight_NK;
};
/// Decides for x_ND, adds the layer's losses to pass.losses and tells pass.routing. It decides once: if the
/// layer is recomputed, the first choice counts. Otherwise a score that differs in its last bit would send a
/// token to one expert and its gradient to another.
using Router = std::function<Routes(const Pass&, const Var& x_ND)>;

/// Declares under {prefix}.gate what the router of this configuration learns.
[[nodiscard]] Router make_router(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                                 const ModelConfig& model, const MoeConfig& moe);

/// The order of the copies that are sent to an expert, within capacity and without padding, and the note of
/// them. If affinity_NE is undefined, all are equal.
[[nodiscard]] RowOrder carry_out(const Pass& pass, const MoeConfig& moe, std::int64_t layer,
                                 const Tensor& id_NK, const Tensor& affinity_NE);

/// Returns make(), or, when the layer is recomputed, what it returned before.
template <class Make>
auto decided_once(const Pass& pass, const Make& make) {
  return pass.kept != nullptr ? pass.kept->once(make) : make();
}

}  // namespace granule
