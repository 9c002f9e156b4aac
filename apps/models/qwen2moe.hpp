// Hugging Face directories of Qwen2MoeForCausalLM (model_type "qwen2_moe"), brought into the keys and names
// of `deepseek` models. That class computes every model of this program whose router is a softmax without
// groups, bias or factor:
//
//   the class                                            here
//   y = routed(x) + sigmoid(x · gate) · shared(x)        y = routed(x) + shared(x)
//   gate = 0, and a down_proj of twice the values        the same, because sigmoid(0) = 1/2
//   dense layers: mlp_only_layers, decoder_sparse_step   first_k_dense_replace, moe_layer_freq
//   biases of q, k and v                                 attention_bias, with an o_proj.bias of 0
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/models/hf_directory.hpp"

namespace granule {

inline constexpr const char* kQwen2MoeType = "qwen2_moe";
inline constexpr const char* kQwen2MoeArchitecture = "Qwen2MoeForCausalLM";

/// Whether a config.json describes a model of this class.
[[nodiscard]] bool is_qwen2moe(const nlohmann::json& document);

/// Gives the directory the config and the tensors of the same model as a `deepseek` one. Throws a user error
/// that names the key or the tensor if there is none, such as a gate that is not zero.
void translate_qwen2moe(HfDirectory& directory);

/// Removes the keys that `deepseek` models have and this class does not read. In a file of this class they
/// say nothing.
void erase_deepseek_keys(nlohmann::json& document);

/// Which layers are MoE layers, as two keys say it.
struct MoeLayerKeys {
  std::int64_t first_k_dense_replace = 0, moe_layer_freq = 1;
};
/// The keys for exactly these MoE layers out of `layers`, in ascending order. Absent if there are none.
[[nodiscard]] std::optional<MoeLayerKeys> moe_layer_keys(const std::vector<std::int64_t>& moe_layers,
                                                         std::int64_t layers);

}  // namespace granule
