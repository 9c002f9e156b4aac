// Where a layer's tokens go and with which weights: the part of a mixture of experts that decides.
#pragma once
#include <functional>
#include <string>

#include "moe/config.hpp"
#include "nn/config.hpp"
#include "nn/parameters.hpp"
#include "nn/pass.hpp"

namespace granule {

struct Routes {
  Tensor sent_NK;  ///< int32: the experts of each token; −1: dropped by its capacity, or padding
  Var weight_NK;
};
/// Decides for x_ND, leaves the layer's losses in pass.losses and tells pass.routing. Decides once: where the
/// layer is recomputed, the first choice stands, or a score that moved in its last bit would send a token
/// elsewhere than its gradient goes.
using Router = std::function<Routes(const Pass&, const Var& x_ND)>;

/// Declares what the router of this configuration learns under {prefix}.gate.
[[nodiscard]] Router make_router(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                                 const ModelConfig& model, const MoeConfig& moe);

/// The choice as it is carried out, within capacity and without padding, and the note of it.
/// affinity_NE undefined: all are equal.
[[nodiscard]] Tensor carry_out(const Pass& pass, const MoeConfig& moe, std::int64_t layer,
                               const Tensor& id_NK, const Tensor& affinity_NE);

/// make(), or what it made before where the layer is recomputed.
template <class Make>
Tensor decided_once(const Pass& pass, const Make& make) {
  return pass.kept != nullptr ? pass.kept->once(make) : make();
}

}  // namespace granule
