// How large a model is and what a step of it costs, from its configuration alone.
#pragma once
#include <cstdint>

#include "moe/config.hpp"
#include "nn/config.hpp"

namespace granule {

/// Elements of each kind of parameter, summed over layers. `routed_experts` counts every expert.
struct ParameterCounts {
  std::int64_t embedding = 0;
  std::int64_t head = 0;       ///< lm_head; 0 if tied to the embedding
  std::int64_t attention = 0;  ///< with its biases
  std::int64_t norms = 0;
  std::int64_t dense_ffn = 0;
  std::int64_t shared_experts = 0;
  std::int64_t router = 0;
  std::int64_t routed_experts = 0;
  std::int64_t routed_activated = 0;  ///< the part of routed_experts that one token uses

  [[nodiscard]] std::int64_t total() const {
    return embedding + head + attention + norms + dense_ffn + shared_experts + router + routed_experts;
  }
  /// Parameters that one token uses, embeddings included: 2.83 G for DeepSeekMoE 16B.
  [[nodiscard]] std::int64_t activated() const { return total() - routed_experts + routed_activated; }
};

/// If model.num_key_value_heads is 0, it counts as num_attention_heads. More than 2^53 parameters are a user
/// error.
[[nodiscard]] ParameterCounts count_parameters(const ModelConfig& model, const MoeConfig& moe);

/// Floating-point operations of forward and backward over `tokens` tokens in sequences of `seq_len`, as the
/// paper counts them: 6 · N · tokens + 12 · layers · tokens · seq_len · hidden. N is the number of activated
/// parameters that are multiplied: the head, even if it is tied, but no embedding, norms or biases. Attention
/// counts as if it were not causal, and recomputation does not count. One sequence of 4096 tokens with
/// DeepSeekMoE 16B has 75.9e12.
[[nodiscard]] double training_flops(const ModelConfig& model, const MoeConfig& moe, std::int64_t tokens,
                                    std::int64_t seq_len);

/// Model FLOPs utilisation: `flops` in `seconds` as a fraction of `peak_flops`, which is per second and for
/// all devices.
[[nodiscard]] double model_flops_utilisation(double flops, double seconds, double peak_flops);

}  // namespace granule
