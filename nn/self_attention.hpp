// Causal self-attention with rotary positions: MHA, GQA or MQA, biases optional.
#pragma once
#include <string>

#include "core/ops/rope.hpp"
#include "nn/config.hpp"
#include "nn/linear.hpp"
#include "nn/pass.hpp"

namespace granule {

class SelfAttention {
 public:
  /// Declares {prefix}.{q,k,v}_proj (one block) and .o_proj, with biases if the config asks for them.
  SelfAttention(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                const ModelConfig& config);
  [[nodiscard]] Var operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const;

 private:
  [[nodiscard]] Var attend(const Pass& pass, const Var& qkv) const;

  std::int64_t layer_, heads_, kv_heads_, head_dim_;
  Linear qkv_, out_;
};

}  // namespace granule
