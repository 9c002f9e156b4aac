#include "nn/language_model.hpp"

#include "autograd/functions.hpp"
#include "nn/self_attention.hpp"

namespace granule {
namespace {

MakeAttention make_self_attention(const ModelConfig& config) {
  return [config](ParameterStore& store, const std::string& prefix, std::int64_t layer) -> AttentionFunction {
    return SelfAttention(store, prefix, layer, config);
  };
}

}  // namespace

LanguageModel::LanguageModel(ParameterStore& store, const ModelConfig& config,
                             const MakeFeedForward& make_feed_forward)
    : LanguageModel(store, config, make_feed_forward, make_self_attention(config)) {}

LanguageModel::LanguageModel(ParameterStore& store, const ModelConfig& config,
                             const MakeFeedForward& make_feed_forward, const MakeAttention& make_attention)
    : config_(config) {
  const Shape table{config.vocab_size, config.hidden_size};
  embedding_ = store.declare("model.embed_tokens.weight", table);
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    store.next_unit();
    blocks_.emplace_back(store, fmt::format("model.layers.{}", layer), layer, config, make_attention,
                         make_feed_forward);
  }
  store.next_unit();
  norm_ = store.declare("model.norm.weight", {config.hidden_size}, ParameterRole::norm);
  if (config.tie_word_embeddings) {
    head_.emplace(embedding_);
    store.use_again(embedding_);
  } else {
    head_.emplace(store, config.hidden_size, std::vector<Linear::Output>{{"lm_head", config.vocab_size}});
  }
}

void LanguageModel::prepare(Context& context, DType dtype) {
  const bool linear = config_.rope_scaling.type == RopeScaling::Type::linear;
  rope_tables_ = std::make_unique<RopeTables>();
  rope_tables_->usual = RopeTable(context, wide_of(dtype), config_.head_dim(), config_.rope_theta,
                                  linear ? config_.positions() : config_.max_position_embeddings,
                                  linear ? config_.rope_scaling.factor : 1.0);
}

const RopeTable& LanguageModel::rope_table(const Pass& pass) const {
  GRANULE_CHECK(rope_tables_ != nullptr, "language model: prepare() was not called");
  const std::int64_t length = pass.rope_length > 0 ? pass.rope_length : pass.seq;
  const bool scaled = config_.rope_scaling.type == RopeScaling::Type::dynamic;
  RopeTables& tables = *rope_tables_;
  if (!scaled || length <= config_.max_position_embeddings) return tables.usual;
  if (length != tables.longer_length) {
    GRANULE_CHECK(length <= config_.positions(), "language model: {} tokens, it has {} positions", length,
                  config_.positions());
    tables.longer = RopeTable(pass.context, tables.usual.cos_PH.dtype(), config_.head_dim(),
                              config_.rope_theta_at(length), length);
    tables.longer_length = length;
  }
  return tables.longer;
}

Var LanguageModel::embed(const Pass& pass, const Tensor& token_N) const {
  const UnitScope unit(pass, 0);
  return embedding(embedding_, token_N);
}

Var LanguageModel::blocks(const Pass& pass, Var x_ND, std::vector<Tensor>* hidden_states) const {
  const RopeTable& table = rope_table(pass);
  for (std::size_t layer = 0; layer < blocks_.size(); ++layer) {
    if (hidden_states != nullptr) hidden_states->push_back(x_ND.value);
    const UnitScope unit(pass, static_cast<std::int64_t>(layer) + 1);
    x_ND = blocks_[layer](pass, table, x_ND);
  }
  return x_ND;
}

Var LanguageModel::loss_sum(const Pass& pass, const Var& x_ND, const Tensor& target_N) const {
  const UnitScope unit(pass, layers() + 1);
  const Var normed = rms_norm(x_ND, norm_, config_.rms_norm_eps);
  return linear_cross_entropy(normed, head_->weight(), target_N);
}

Var LanguageModel::logits(const Pass& pass, const Var& x_ND) const {
  const UnitScope unit(pass, layers() + 1);
  const Var normed = rms_norm(x_ND, norm_, config_.rms_norm_eps);
  return linear(normed, head_->weight(), {.rounding = Rounding::none});
}

Var LanguageModel::loss_sum(const Pass& pass, const Tensor& token_N, const Tensor& target_N) const {
  const Var x = embed(pass, token_N);
  const Var y = blocks(pass, x);
  return loss_sum(pass, y, target_N);
}

std::vector<KvCache> LanguageModel::make_caches(Context& context, DType dtype, std::int64_t capacity) const {
  const Shape shape{capacity, config_.kv_width()};
  std::vector<KvCache> caches;
  for (std::int64_t layer = 0; layer < layers(); ++layer) {
    caches.push_back(
        {Tensor::empty(context, shape, wide_of(dtype)), Tensor::empty(context, shape, wide_of(dtype)), 0});
  }
  return caches;
}

}  // namespace granule
