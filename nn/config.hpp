// The shape of a language model, and which parts are recomputed. Field names are those of the Hugging Face
// config.json of `deepseek` models.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>

namespace granule {

/// How rotary positions reach beyond max_position_embeddings = M, up to factor · M. Linear: position p counts
/// as p / factor in every sequence. Dynamic NTK: a sequence of S > M tokens, with heads of D columns, has
/// theta · (factor · S / M − (factor − 1))^(D / (D − 2)).
struct RopeScaling {
  enum class Type : std::uint8_t { none, linear, dynamic };
  Type type = Type::none;
  double factor = 1.0;  ///< more than 1, unless the type is none
  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

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
  RopeScaling rope_scaling{};
  bool attention_bias = false;
  bool tie_word_embeddings = false;
  double initializer_range = 0.006;  ///< standard deviation of every matrix; the default is the paper's

  [[nodiscard]] std::int64_t head_dim() const { return hidden_size / num_attention_heads; }
  [[nodiscard]] std::int64_t kv_heads() const {
    return num_key_value_heads > 0 ? num_key_value_heads : num_attention_heads;
  }
  /// Columns of all keys of one token, and of all its values.
  [[nodiscard]] std::int64_t kv_width() const { return kv_heads() * head_dim(); }
  /// The length of the longest sequence.
  [[nodiscard]] std::int64_t positions() const {
    const double factor = rope_scaling.type == RopeScaling::Type::none ? 1.0 : rope_scaling.factor;
    return static_cast<std::int64_t>(factor * static_cast<double>(max_position_embeddings));
  }
  /// The theta of a sequence of `length` tokens.
  [[nodiscard]] double rope_theta_at(std::int64_t length) const {
    if (rope_scaling.type != RopeScaling::Type::dynamic) return rope_theta;
    const double over = static_cast<double>(length) / static_cast<double>(max_position_embeddings);
    if (over <= 1.0) return rope_theta;
    const auto columns = static_cast<double>(head_dim());
    return rope_theta *
           std::pow(rope_scaling.factor * over - (rope_scaling.factor - 1.0), columns / (columns - 2.0));
  }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

/// What backward computes again instead of keeping its activations. It can be nothing, the part of each block
/// after attention (norm, feed-forward network or experts, residual), or whole blocks. No choice changes a
/// bit of any result.
enum class Recompute : std::uint8_t { none, feed_forward, full };
inline constexpr std::array<std::pair<std::string_view, Recompute>, 3> kRecomputeNames{
    {{"none", Recompute::none}, {"moe", Recompute::feed_forward}, {"full", Recompute::full}}};
/// Its name in train.recompute.
[[nodiscard]] constexpr std::string_view name_of(Recompute recompute) {
  return kRecomputeNames[static_cast<std::size_t>(recompute)].first;
}

}  // namespace granule
