// Keys of a config.json that no table of a run has: what they may say of a model that this program computes.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"

namespace granule {

/// Four kinds. Those of transformers that do not touch what a model computes say nothing. Those that are
/// known to change it must have the value that changes nothing. One that is unknown, and whose name speaks of
/// a part of the model, must be null, false or empty. Any other is returned, to be told to the user. Throws a
/// user error that names the first key that is refused.
[[nodiscard]] std::vector<std::string> judge_foreign_keys(const nlohmann::json& document,
                                                          const ModelConfig& model, const MoeConfig& moe,
                                                          std::string_view where);

}  // namespace granule
