// The shape of a language model, and what of it runs twice. Field names are those of the Hugging Face
// config.json of `deepseek` models.
#pragma once
#include <cstdint>

namespace granule {

struct ModelConfig {
  std::int64_t vocab_size = 0;  ///< 0: taken from the data
  std::int64_t hidden_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;  ///< 0: as many as num_attention_heads
  std::int64_t intermediate_size = 0;    ///< width of the dense SwiGLU layers
  std::int64_t max_position_embeddings = 4096;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool attention_bias = false;
  bool tie_word_embeddings = false;
  double initializer_range = 0.006;  ///< the paper's; standard deviation of every matrix

  [[nodiscard]] std::int64_t head_dim() const { return hidden_size / num_attention_heads; }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// What backward computes again instead of keeping its activations: nothing, each block's part behind
/// attention (norm, feed-forward network or experts, residual), or whole blocks. No choice changes a bit of
/// any result.
enum class Recompute : std::uint8_t { none, feed_forward, full };

}  // namespace granule
