// Runs a model one token after the other, and keeps the keys and values of the tokens that it has seen.
#pragma once
#include <span>
#include <vector>

#include "moe/model/model.hpp"

namespace granule {

class Decoder {
 public:
  /// There is room for `capacity` tokens, which may be at most the model's positions.
  Decoder(Context& context, const Model& model, std::int64_t capacity);

  /// Appends tokens to what the model has seen. Returns its logits for the token that follows, as float64
  /// [vocab_size]. Throws if there is no room for them.
  ///
  /// Under dynamic rope scaling, theta depends on the length of the text, and so does every key in the cache.
  /// Here the length is rounded up to a multiple of max_position_embeddings, so that all keys share one
  /// theta. When the text grows past a multiple, it is read again. The logits are those of one pass over the
  /// text with that rope_length.
  [[nodiscard]] std::vector<double> feed(std::span<const std::int32_t> tokens);
  /// The model then has seen nothing.
  void forget();
  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

 private:
  [[nodiscard]] std::int64_t rope_length_for(std::int64_t length) const;
  void empty_caches();
  /// The hidden states of a piece of the sequence, after all blocks.
  [[nodiscard]] Tensor run(std::span<const std::int32_t> tokens);

  Context& context_;
  const Model& model_;
  std::int64_t capacity_;
  std::int64_t length_ = 0;
  std::int64_t rope_length_ = 0;      // that of the keys in the caches; 0 if theta never changes
  std::vector<std::int32_t> text_{};  // all tokens, if theta may change
  std::vector<KvCache> caches_;
};

}  // namespace granule
