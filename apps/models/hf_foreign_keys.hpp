// Keys of a config.json that no table of a run has, and which values of them this program can accept.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/config/run_config.hpp"

namespace granule {

/// There are four kinds of keys:
///   - keys of transformers that do not change what a model computes may have any value
///   - keys that are known to change it must have the value that changes nothing
///   - an unknown key whose name describes a part of the model must be null, false or empty
///   - any other unknown key is returned, so that the user hears of it
/// Throws a user error that names the first key that is refused.
[[nodiscard]] std::vector<std::string> judge_foreign_keys(const nlohmann::json& document,
                                                          const ModelConfig& model, const MoeConfig& moe,
                                                          std::string_view where);

}  // namespace granule
