// The mixture-of-experts part of a model. Field names are those of the Hugging Face config.json of `deepseek`
// models. aux_loss_alpha is for each layer, on the paper's scale.
#pragma once
#include <cstdint>

namespace granule {

enum class RouterKind : std::uint8_t { topk, hash };
enum class ScoringFunction : std::uint8_t { softmax, sigmoid };

struct MoeConfig {
  RouterKind router = RouterKind::topk;
  /// Seed of the hash router's map from token ids to experts; −1: not known yet.
  std::int64_t hash_seed = -1;
  std::int64_t n_routed_experts = 0;  ///< 0: a dense model
  std::int64_t num_experts_per_tok = 0;
  std::int64_t n_shared_experts = 0;
  std::int64_t moe_intermediate_size = 0;  ///< width of one expert's SwiGLU
  std::int64_t first_k_dense_replace = 0;
  std::int64_t moe_layer_freq = 1;
  ScoringFunction scoring_func = ScoringFunction::softmax;
  bool norm_topk_prob = false;         ///< without effect if num_experts_per_tok = 1, as in the reference
  double routed_scaling_factor = 1.0;  ///< factor of the weights, applied after normalisation
  std::int64_t n_group = 1;            ///< groups of experts, of which a token uses topk_group
  std::int64_t topk_group = 1;
  bool seq_aux = true;  ///< balance loss by sequence; false: by micro-batch ("token-level")
  double aux_loss_alpha = 0.001;
  double device_loss_alpha = 0.0;
  /// Logical devices of the device-level loss; they do not depend on the ranks.
  std::int64_t device_groups = 1;
  double z_loss_alpha = 0.0;
  double bias_update_speed = 0.0;  ///< step of the selection bias (auxiliary-loss-free balancing); 0: off
  double capacity_factor = 0.0;    ///< sets an expert's capacity in training; 0: dropless

  /// Whether layer `layer`, counted from 0 over all layers, is an MoE layer.
  [[nodiscard]] bool is_moe_layer(std::int64_t layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }
  /// How many of the first `layers` layers are MoE layers.
  [[nodiscard]] std::int64_t count_moe_layers(std::int64_t layers) const {
    std::int64_t count = 0;
    for (std::int64_t layer = 0; layer < layers; ++layer) count += is_moe_layer(layer) ? 1 : 0;
    return count;
  }
  /// How many experts a token chooses from: those of its best groups.
  [[nodiscard]] std::int64_t experts_in_reach() const { return n_routed_experts / n_group * topk_group; }
  /// Whether the selection adds a bias without gradient to the scores. DeepSeek-V3's router does, even if its
  /// update speed is 0.
  [[nodiscard]] bool has_selection_bias() const {
    return router == RouterKind::topk &&
           (scoring_func == ScoringFunction::sigmoid || bias_update_speed > 0.0);
  }
  friend bool operator==(const MoeConfig&, const MoeConfig&) = default;
};

}  // namespace granule
