// Runs a model one token after the other, and keeps the keys and values of the tokens that it has seen.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "moe/model/model.hpp"

namespace granule {

class Decoder {
 public:
  /// There is room for `capacity` tokens, which may be at most the model's positions.
  Decoder(Context& context, const Model& model, std::int64_t capacity);

  /// Appends tokens to what the model has seen. Returns its logits for the token that follows, as float64
  /// [vocab_size]. Throws if there is no room for them, and a user error if a logit is not finite.
  ///
  /// Under dynamic rope scaling, theta depends on the length of the text, and so does every key in the cache.
  /// Here the length is rounded up to a multiple of max_position_embeddings, so that all keys share one
  /// theta. When the text grows past a multiple, it is read again. The logits are those of one pass over the
  /// text with that rope_length.
  [[nodiscard]] std::vector<double> feed(std::span<const std::int32_t> tokens);
  using TakeLogits = std::function<void(std::span<const double>)>;
  /// The same, and calls `take` with the logits after each of these tokens except the first `skip`.
  void feed(std::span<const std::int32_t> tokens, std::size_t skip, const TakeLogits& take);
  /// The model then has seen only the first `length` tokens.
  void rewind(std::int64_t length);
  /// The model then has seen nothing.
  void forget() { rewind(0); }
  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

 private:
  [[nodiscard]] std::int64_t rope_length_for(std::int64_t length) const;
  /// Feeds tokens piece by piece, and hands on the hidden states of each piece after all blocks. `tokens`
  /// becomes the whole text if it is read again.
  void feed_pieces(std::span<const std::int32_t>& tokens,
                   const std::function<void(const Tensor& y_ND)>& take);
  [[nodiscard]] Tensor run(std::span<const std::int32_t> tokens);
  /// Calls `take` with the logits of each of these rows.
  void logits_of(const Tensor& y_ND, const TakeLogits& take);

  Context& context_;
  const Model& model_;
  std::int64_t capacity_;
  std::int64_t length_ = 0;
  std::int64_t rope_length_ = 0;      // that of the keys in the caches; 0 if theta never changes
  std::vector<std::int32_t> text_{};  // all tokens, if theta may change
  std::vector<KvCache> caches_;
};

}  // namespace granule
