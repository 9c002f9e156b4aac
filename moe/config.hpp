// The mixture-of-experts part of a model. Field names are those of the Hugging Face config.json of
// `deepseek` models; aux_loss_alpha is per layer, on the paper's scale.
#pragma once
#include <cstdint>

namespace granule {

struct MoeConfig {
  std::int64_t n_routed_experts = 0;  ///< 0: a dense model
  std::int64_t num_experts_per_tok = 0;
  std::int64_t n_shared_experts = 0;
  std::int64_t moe_intermediate_size = 0;  ///< width of one expert's SwiGLU
  std::int64_t first_k_dense_replace = 0;
  std::int64_t moe_layer_freq = 1;
  bool norm_topk_prob = false;  ///< without effect when num_experts_per_tok = 1, as in the reference
  bool seq_aux = true;          ///< balance loss by sequence; false: by micro-batch ("token-level")
  double aux_loss_alpha = 0.001;

  /// Whether layer `layer` (from 0, over all layers) is a mixture of experts.
  [[nodiscard]] bool is_moe_layer(std::int64_t layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }
  friend bool operator==(const MoeConfig&, const MoeConfig&) = default;
};

}  // namespace granule
