// The config.json of a Hugging Face `deepseek` model (DeepseekForCausalLM) from and to the model and moe
// tables of a run. Only the configuration: weights are read and written in data/.
#pragma once
#include <cstdint>
#include <filesystem>
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

/// A file as it was read, before anybody has overridden what is wrong with it.
struct HfReading {
  HfConfig config;
  std::vector<ConfigFault> faults{};
  std::vector<std::string> passed_over{};  ///< keys that are not known, and speak of no part of a model
};

/// Absent keys get the defaults of the published configuration class (they are not ours: initializer_range
/// 0.02, max_position_embeddings 2048, no experts). Other model types are user errors; values that would
/// compute something else than this program does are faults. Keys that no table has:
/// apps/config/hf_foreign_keys.hpp.
[[nodiscard]] HfReading read_hf_document(const nlohmann::json& document, std::string_view where);

/// The same of a file that is to be a model as it stands: a fault is a user error that names the key.
[[nodiscard]] HfConfig hf_config_from_json(const nlohmann::json& document, std::string_view where);

/// Reads DIR/config.json as hf_config_from_json does.
[[nodiscard]] HfConfig read_hf_config(const std::filesystem::path& directory);

/// Every key of the class, with the auto_map of the published model; a model that the class does not compute
/// (other routers, a selection bias) gets model_type "granule" and no auto_map, so that nobody runs it as
/// what it is not. torch_dtype: "float32", "bfloat16",
/// "float16".
[[nodiscard]] nlohmann::json to_json(const HfConfig& config, std::string_view torch_dtype);

/// A model read from `source` and written again: keys that say nothing about the model, such as further ids
/// that end a text, stay what they were.
[[nodiscard]] nlohmann::json to_json(const HfConfig& config, std::string_view torch_dtype,
                                     const nlohmann::json& source);

/// What DIR/config.json lays under a config file or overrides.
struct HfBase {
  ConfigBase base;
  std::vector<std::string> passed_over;
};
[[nodiscard]] HfBase config_base_from(const std::filesystem::path& directory);

}  // namespace granule
