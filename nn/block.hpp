// One layer: attention and a feed-forward network, each behind a norm and inside a residual.
#pragma once
#include "nn/self_attention.hpp"

namespace granule {

/// What stands in the feed-forward place: a dense network or a mixture of experts.
using FeedForwardFunction = std::function<Var(const Pass&, const Var& x_ND)>;
/// Declares the feed-forward network of a layer and returns it.
using MakeFeedForward =
    std::function<FeedForwardFunction(ParameterStore&, const std::string& prefix, std::int64_t layer)>;

/// u = x + Attention(RMSNorm(x)),   y = u + FeedForward(RMSNorm(u))
class Block {
 public:
  Block(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& config,
        const MakeFeedForward& make_feed_forward);
  /// Runs the layer, recomputed in backward where the pass asks for it.
  [[nodiscard]] Var operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const;

 private:
  [[nodiscard]] Var run(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const;
  [[nodiscard]] Var run_recomputed(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const;

  double eps_;
  Param input_norm_, post_norm_;
  SelfAttention attention_;
  FeedForwardFunction feed_forward_;
};

}  // namespace granule
