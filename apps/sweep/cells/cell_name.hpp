// Names of variants and cells, which are names of directories too.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace granule {

/// The text with "_" for what a shell or a file system could read as something else. Letters of every script
/// stay.
[[nodiscard]] std::string plain_name(std::string text);

/// "n_routed_experts-8,aux_loss_alpha-0.001". A key has its last part, or all of it if two keys end alike.
[[nodiscard]] std::string variant_name(const std::vector<std::pair<std::string, nlohmann::json>>& values);

}  // namespace granule
