// Running a model one token after the other, with the keys and values of what it has seen kept.
#pragma once
#include <span>
#include <vector>

#include "moe/model.hpp"

namespace granule {

class Decoder {
 public:
  /// Room for `capacity` tokens, at most the model's positions.
  Decoder(Context& context, const Model& model, std::int64_t capacity);

  /// Under dynamic rope scaling, theta depends on the length of the text, and so does every key in the cache.
  /// Here the length counts as the next whole multiple of max_position_embeddings: all keys share one theta,
  /// and when the text grows past a multiple, it is read again. The logits are those of one pass over the
  /// text with that rope_length.
  ///
  /// Appends tokens to what the model has seen and returns its logits for the one that follows, float64
  /// [vocab_size]. Throws when there is no room for them.
  [[nodiscard]] std::vector<double> feed(std::span<const std::int32_t> tokens);
  /// What it has seen is as if it had never been.
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
  std::int64_t rope_length_ = 0;      // that of the keys in the caches; 0: theta never changes
  std::vector<std::int32_t> text_{};  // all tokens, where theta may change
  std::vector<KvCache> caches_;
};

}  // namespace granule
