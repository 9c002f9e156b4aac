// The decoder-only stack: embedding, blocks and head, which can be called separately.
#pragma once
#include <memory>

#include "nn/block.hpp"
#include "nn/config.hpp"
#include "nn/linear.hpp"

namespace granule {

class LanguageModel {
 public:
  /// Declares every parameter under its Hugging Face name.
  LanguageModel(ParameterStore& store, const ModelConfig& config, const MakeFeedForward& make_feed_forward);
  /// The same with another attention than SelfAttention.
  LanguageModel(ParameterStore& store, const ModelConfig& config, const MakeFeedForward& make_feed_forward,
                const MakeAttention& make_attention);
  /// Call it after the store is materialised. It builds the rotary tables.
  void prepare(Context& context, DType dtype);

  [[nodiscard]] Var embed(const Pass& pass, const Tensor& token_N) const;
  /// All blocks. If hidden_states is given, it receives the input of every block.
  [[nodiscard]] Var blocks(const Pass& pass, Var x_ND, std::vector<Tensor>* hidden_states = nullptr) const;
  /// The head: the final norm, then the sum of the cross-entropies of all targets that are not ignored, as
  /// float64 [1].
  [[nodiscard]] Var loss_sum(const Pass& pass, const Var& x_ND, const Tensor& target_N) const;
  /// The head: the final norm, then logits [N, vocab_size].
  [[nodiscard]] Var logits(const Pass& pass, const Var& x_ND) const;

  /// embed → blocks → loss_sum.
  [[nodiscard]] Var loss_sum(const Pass& pass, const Tensor& token_N, const Tensor& target_N) const;

  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(blocks_.size()); }
  [[nodiscard]] std::int64_t units() const { return layers() + 2; }
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  /// An empty key-value cache for each layer.
  [[nodiscard]] std::vector<KvCache> make_caches(Context& context, DType dtype, std::int64_t capacity) const;

 private:
  /// One table for all sequences, except those that have their own theta by dynamic scaling.
  struct RopeTables {
    RopeTable usual, longer;
    std::int64_t longer_length = 0;
  };
  [[nodiscard]] const RopeTable& rope_table(const Pass& pass) const;

  ModelConfig config_;
  Param embedding_;
  std::vector<Block> blocks_;
  Param norm_;
  std::optional<Linear> head_;
  std::unique_ptr<RopeTables> rope_tables_;  // the longer one is made when such a sequence comes
};

}  // namespace granule
