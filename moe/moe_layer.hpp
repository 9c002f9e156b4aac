// A mixture of experts in the feed-forward place of a layer: the paper's equations 9–11, shared experts
// apart.
#pragma once
#include <optional>
#include <string>

#include "moe/config.hpp"
#include "nn/config.hpp"
#include "nn/feed_forward.hpp"

namespace granule {

/// y_t = Σ_k w_tk FFN_id(t,k)(x_t) + FFN_shared(x_t) with s = softmax(x W_gᵀ), id and w the K largest of s_t.
class MoeLayer {
 public:
  /// Declares {prefix}.gate, .experts.{e} (two blocks) and .shared_experts.
  MoeLayer(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& model,
           const MoeConfig& moe);
  /// Leaves the balance loss in pass.losses and tells pass.routing of the choice.
  [[nodiscard]] Var operator()(const Pass& pass, const Var& x_ND) const;

 private:
  [[nodiscard]] Tensor choose(const Pass& pass, const Tensor& score_NE) const;
  void leave_balance_loss(const Pass& pass, const Var& scores, const Tensor& id_NK) const;
  [[nodiscard]] Var routed(const Var& x_ND, const Var& scores, const Tensor& id_NK) const;

  std::int64_t layer_;
  MoeConfig config_;
  Param gate_, experts_w13_, experts_w2_;
  std::optional<FeedForward> shared_;
};

}  // namespace granule
