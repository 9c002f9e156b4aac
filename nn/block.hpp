// One layer: attention and a feed-forward network, each with a norm before it and a residual around it.
#pragma once
#include <string>

#include "core/ops/rope.hpp"
#include "nn/parameters.hpp"
#include "nn/pass.hpp"

namespace granule {

/// The attention of a layer, which mixes the tokens of each row.
using AttentionFunction = std::function<Var(const Pass&, const RopeTable&, const Var& x_ND)>;
/// Declares the attention of a layer and returns it.
using MakeAttention =
    std::function<AttentionFunction(ParameterStore&, const std::string& prefix, std::int64_t layer)>;

/// The feed-forward network of a layer: a dense network or a mixture of experts.
using FeedForwardFunction = std::function<Var(const Pass&, const Var& x_ND)>;
/// Declares the feed-forward network of a layer and returns it.
using MakeFeedForward =
    std::function<FeedForwardFunction(ParameterStore&, const std::string& prefix, std::int64_t layer)>;

/// u = x + Attention(RMSNorm(x)),   y = u + FeedForward(RMSNorm(u))
class Block {
 public:
  Block(ParameterStore& store, const std::string& prefix, std::int64_t layer, const ModelConfig& config,
        const MakeAttention& make_attention, const MakeFeedForward& make_feed_forward);
  /// Runs the layer. Backward recomputes what the pass asks for.
  [[nodiscard]] Var operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const;

 private:
  [[nodiscard]] Var attend(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const;  // u
  [[nodiscard]] Var feed(const Pass& pass, const Var& u_ND) const;                                 // y

  double eps_;
  Param input_norm_, post_norm_;
  AttentionFunction attention_;
  FeedForwardFunction feed_forward_;
};

}  // namespace granule
