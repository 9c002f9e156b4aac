// A model as Qwen2MoeForCausalLM computes it. apps/models/qwen2moe.hpp has the correspondence, and reads such
// a directory again.
#pragma once
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/exports/source_tensors.hpp"

namespace granule {

/// The config.json, made of that of the same model as a `deepseek` one. It keeps the keys that do not
/// describe the model.
[[nodiscard]] nlohmann::json qwen2moe_config(const ModelConfig& model, const MoeConfig& moe,
                                             const nlohmann::json& deepseek);

/// The gates and the biases that the class has and the model has not are zero. A model without a shared
/// expert gets one of zeros. Throws a user error if the model has a bias after its attention that is not
/// zero.
[[nodiscard]] std::vector<TensorToSave> qwen2moe_tensors(const SourceTensors& source);

}  // namespace granule
