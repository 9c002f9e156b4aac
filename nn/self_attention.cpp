#include "nn/self_attention.hpp"

#include "autograd/functions.hpp"

namespace granule {

SelfAttention::SelfAttention(ParameterStore& store, const std::string& prefix, std::int64_t layer,
                             const ModelConfig& config)
    : layer_(layer),
      heads_(config.num_attention_heads),
      kv_heads_(config.kv_heads()),
      head_dim_(config.head_dim()),
      bias_(config.attention_bias) {
  const std::int64_t hidden = config.hidden_size, q = heads_ * head_dim_, kv = kv_heads_ * head_dim_;
  qkv_ = store.declare(BlockSpec{{q + 2 * kv, hidden},
                                 {{prefix + ".q_proj.weight", {q, hidden}},
                                  {prefix + ".k_proj.weight", {kv, hidden}},
                                  {prefix + ".v_proj.weight", {kv, hidden}}}});
  if (bias_) {
    qkv_bias_ = store.declare(BlockSpec{
        {q + 2 * kv},
        {{prefix + ".q_proj.bias", {q}}, {prefix + ".k_proj.bias", {kv}}, {prefix + ".v_proj.bias", {kv}}},
        ParameterRole::bias});
  }
  out_ = store.declare(prefix + ".o_proj.weight", {hidden, q});
  if (bias_) out_bias_ = store.declare(prefix + ".o_proj.bias", {hidden}, ParameterRole::bias);
}

Var SelfAttention::attend(const Pass& pass, const Var& qkv) const {
  const Attention op{pass.batch, pass.seq, heads_, kv_heads_, head_dim_, head_dim_};
  if (pass.caches == nullptr) return attention(qkv, op, pass.first_key_N);
  GRANULE_CHECK(!pass.first_key_N.defined(),
                "attention: a cache holds one document, there is nothing to mask");
  GRANULE_CHECK(current_tape() == nullptr, "attention: a key-value cache is for inference, not for training");
  return {attend_with_cache(op, qkv.value, (*pass.caches)[static_cast<std::size_t>(layer_)])};
}

Var SelfAttention::operator()(const Pass& pass, const RopeTable& rope_table, const Var& x_ND) const {
  Var qkv = linear(x_ND, qkv_);
  if (bias_) qkv = bias_add(qkv, qkv_bias_);
  const Var rotated = rope(qkv, rope_table, pass.position_N, heads_ + kv_heads_);
  const Var mixed = attend(pass, rotated);
  const Var y = linear(mixed, out_);
  return bias_ ? bias_add(y, out_bias_) : y;
}

}  // namespace granule
