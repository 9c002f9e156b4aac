// A mixture of experts as the feed-forward network of a layer: the paper's equations 9–11, with shared
// experts computed separately.
#pragma once
#include <optional>
#include <string>

#include "moe/config.hpp"
#include "moe/experts/expert_placement.hpp"
#include "moe/experts/row_order.hpp"
#include "moe/routing/router.hpp"
#include "nn/config.hpp"
#include "nn/feed_forward.hpp"

namespace granule {

class ExchangePlan;  // moe/experts/exchange_plan.hpp

/// y_t = Σ_k w_tk FFN_id(t,k)(x_t) + FFN_shared(x_t), where the router gives id and w. A pass may leave out
/// experts (moe/routing/routing_pass.hpp).
class MoeLayer {
 public:
  /// Declares {prefix}.gate, .experts.{e} of the local experts (two blocks) and .shared_experts. If experts
  /// are on several ranks, every pass is a collective of these ranks.
  MoeLayer(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& model,
           const MoeConfig& moe, const ExpertPlacement& placement = {}, Routing routing = Routing::natural);
  [[nodiscard]] Var operator()(const Pass& pass, const Var& x_ND) const;

 private:
  class SharedInPass;
  /// sent_RD is given up as soon as nothing needs it.
  [[nodiscard]] Var run_experts(const Pass& pass, Var sent_RD, const RowOrder& order,
                                SharedInPass& shared) const;
  [[nodiscard]] Var run_remote_experts(const ExchangePlan& plan, Var sent_RD, SharedInPass& shared) const;

  std::int64_t experts_;
  ExpertPlacement placement_;
  Router router_;
  Param experts_w13_, experts_w2_;
  std::optional<FeedForward> shared_;
};

}  // namespace granule
