// A mixture of experts in the feed-forward place of a layer: the paper's equations 9–11, shared experts
// apart.
#pragma once
#include <optional>
#include <string>

#include "moe/config.hpp"
#include "moe/expert_placement.hpp"
#include "moe/routing/router.hpp"
#include "moe/routing/routing.hpp"
#include "nn/config.hpp"
#include "nn/feed_forward.hpp"

namespace granule {

/// y_t = Σ_k w_tk FFN_id(t,k)(x_t) + FFN_shared(x_t), id and w from the router.
class MoeLayer {
 public:
  /// Declares {prefix}.gate, .experts.{e} of the experts that are here (two blocks) and .shared_experts. With
  /// experts on several ranks every pass is a collective of theirs.
  MoeLayer(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& model,
           const MoeConfig& moe, const ExpertPlacement& placement = {});
  [[nodiscard]] Var operator()(const Pass& pass, const Var& x_ND) const;

 private:
  [[nodiscard]] Var routed(const Pass& pass, const Var& x_ND, const Routes& routes) const;
  [[nodiscard]] Var computed(const Pass& pass, const Var& sent_RD, const Routing& routing) const;

  std::int64_t experts_;
  ExpertPlacement placement_;
  Router router_;
  Param experts_w13_, experts_w2_;
  std::optional<FeedForward> shared_;
};

}  // namespace granule
