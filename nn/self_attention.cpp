#include "nn/self_attention.hpp"

#include <utility>

#include "autograd/functions.hpp"

namespace granule {
namespace {

Linear::Bias bias_of(const ModelConfig& config) {
  return config.attention_bias ? Linear::Bias::yes : Linear::Bias::no;
}

}  // namespace

SelfAttention::SelfAttention(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                             const ModelConfig& config)
    : layer_(layer),
      heads_(config.num_attention_heads),
      kv_heads_(config.kv_heads()),
      head_dim_(config.head_dim()),
      qkv_(store, config.hidden_size,
           {{prefix + ".q_proj", heads_ * head_dim_},
            {prefix + ".k_proj", config.kv_width()},
            {prefix + ".v_proj", config.kv_width()}},
           bias_of(config)),
      out_(store, heads_ * head_dim_, {{prefix + ".o_proj", config.hidden_size}}, bias_of(config)) {}

Var SelfAttention::attend(const Pass& pass, const Var& qkv) const {
  const Attention op{pass.batch, pass.seq, heads_, kv_heads_, head_dim_, head_dim_};
  if (pass.caches == nullptr) return attention(qkv, op, pass.first_key_N);
  GRANULE_CHECK(!pass.first_key_N.defined(),
                "attention: a cache holds one document, there is nothing to mask");
  GRANULE_CHECK(current_tape() == nullptr, "attention: a key-value cache is for inference, not for training");
  return {attend_with_cache(op, qkv.value, (*pass.caches)[static_cast<std::size_t>(layer_)])};
}

Var SelfAttention::operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  Var qkv = qkv_(x_ND);
  const Var rotated = rope(std::move(qkv), rope_table, pass.position_N, heads_ + kv_heads_);
  const Var mixed = attend(pass, rotated);
  return out_(mixed);
}

}  // namespace granule
