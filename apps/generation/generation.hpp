// Running a model one token after the other, with the keys and values of what it has seen kept.
#pragma once
#include <span>
#include <vector>

#include "moe/model.hpp"

namespace granule {

class Decoder {
 public:
  /// Room for `capacity` tokens, at most max_position_embeddings.
  Decoder(Context& context, const Model& model, std::int64_t capacity);

  /// Appends tokens to what the model has seen and returns its logits for the one that follows, float64
  /// [vocab_size]. Throws when there is no room for them.
  [[nodiscard]] std::vector<double> feed(std::span<const std::int32_t> tokens);
  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

 private:
  /// The hidden states of a piece of the sequence, after all blocks.
  [[nodiscard]] Tensor run(std::span<const std::int32_t> tokens);

  Context& context_;
  const Model& model_;
  std::int64_t capacity_;
  std::int64_t length_ = 0;
  std::vector<KvCache> caches_;
};

}  // namespace granule
