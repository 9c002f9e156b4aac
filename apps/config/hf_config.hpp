// The config.json of a Hugging Face `deepseek` model (DeepseekForCausalLM) from and to the model and moe
// tables of a run. Only the configuration: weights are read and written in data/.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"

namespace granule {

struct HfConfig {
  ModelConfig model;
  MoeConfig moe;
  std::optional<std::int64_t> bos_token_id{};
  std::optional<std::int64_t> eos_token_id{};  ///< the first of a list
  friend bool operator==(const HfConfig&, const HfConfig&) = default;
};

/// Absent keys get the defaults of the published configuration class (they are not ours: initializer_range
/// 0.02, max_position_embeddings 2048, no experts). Other model types, and values that would compute
/// something else than this program does, are user errors that name the key. Unknown keys are ignored, as
/// transformers ignores them.
[[nodiscard]] HfConfig hf_config_from_json(const nlohmann::json& document, std::string_view where);

/// Reads DIR/config.json.
[[nodiscard]] HfConfig read_hf_config(const std::filesystem::path& directory);

/// Every key of the class, with the auto_map of the published model; a model that the class does not compute
/// (other routers, a selection bias) gets model_type "granule" and no auto_map, so that nobody runs it as
/// what it is not. torch_dtype: "float32", "bfloat16",
/// "float16".
[[nodiscard]] nlohmann::json to_json(const HfConfig& config, std::string_view torch_dtype);

/// The values that --init-from lays under a config file.
[[nodiscard]] ConfigBase config_base_from(const std::filesystem::path& directory);

}  // namespace granule
