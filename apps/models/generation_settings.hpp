// How other programs stop generating, for models whose folder has no generation_config.json.
#pragma once
#include <nlohmann/json.hpp>

namespace granule {

inline constexpr const char* kGenerationConfigFile = "generation_config.json";

/// A generation_config.json with the BOS and the EOS of this config.json. Null if it names neither.
[[nodiscard]] nlohmann::json generation_settings(const nlohmann::json& config);

}  // namespace granule
