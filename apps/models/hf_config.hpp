// Converts the config.json of a Hugging Face `deepseek` model (DeepseekForCausalLM) from and to the tables
// model and moe of a run. Only the configuration is handled here. Weights are read and written in data/.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// A file as it was read, before an override corrects what is wrong with it.
struct HfReading {
  HfConfig config;
  std::vector<ConfigFault> faults{};
  std::vector<std::string> passed_over{};  ///< unknown keys that do not describe a part of a model
};

/// Absent keys get the defaults of the published configuration class. They differ from ours:
/// initializer_range 0.02, max_position_embeddings 2048, no experts. Other model types are user errors. A
/// value that would compute something else than this program does is a fault. apps/models/hf_foreign_keys.hpp
/// judges the keys that no table has.
[[nodiscard]] HfReading read_hf_document(const nlohmann::json& document, std::string_view where);

/// The same for a file that is used without overrides. A fault is a user error that names the key.
[[nodiscard]] HfConfig hf_config_from_json(const nlohmann::json& document, std::string_view where);

/// Every key of the class, with the auto_map of the published model. The class does not compute some models,
/// such as those with other routers or a selection bias. They get model_type "granule" and no auto_map, so
/// that no program runs them as another model. torch_dtype is "float32", "bfloat16" or "float16".
[[nodiscard]] nlohmann::json to_json(const HfConfig& config, std::string_view torch_dtype);

/// The same for a model that was read from `source`. Keys that do not describe the model keep their values,
/// such as more ids that end a text.
[[nodiscard]] nlohmann::json to_json(const HfConfig& config, std::string_view torch_dtype,
                                     const nlohmann::json& source);

/// The values that a config.json gives, which a config file or overrides may change.
struct HfBase {
  ConfigBase base;
  std::vector<std::string> passed_over;
};
[[nodiscard]] HfBase config_base_from(const nlohmann::json& document, const std::string& where);

}  // namespace granule
