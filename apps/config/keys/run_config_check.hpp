// What must hold between the keys of a config; ranges of single keys are checked where they are read.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "apps/config/run_config.hpp"

namespace granule {

/// Where a key was written ("run.toml:12"), or the file where it is missing.
using PlaceOf = std::function<std::string(std::string_view key)>;

/// Throws a user error when no such model can be built.
void check_model(const ModelConfig& model, const MoeConfig& moe, const PlaceOf& place);

/// How many layers are mixtures of experts.
[[nodiscard]] std::int64_t moe_layers(const ModelConfig& model, const MoeConfig& moe);

/// The model, and how the run's batch, schedule and lengths fit together.
void check_run_config(const RunConfig& config, std::int64_t ranks, const PlaceOf& place);

}  // namespace granule
