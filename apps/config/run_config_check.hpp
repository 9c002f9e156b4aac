// Conditions between several keys of a config. The ranges of single keys are checked where they are read.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "apps/config/run_config.hpp"

namespace granule {

/// Where a key was written ("run.toml:12"), or the file if the key is missing.
using PlaceOf = std::function<std::string(std::string_view key)>;

/// Throws a user error if such a model cannot be built.
void check_model(const ModelConfig& model, const MoeConfig& moe, const PlaceOf& place);

/// Throws a user error unless every rank gets as many whole micro-batches of a step.
void check_division(const RunConfig::Train& train, std::int64_t ranks, std::string_view where,
                    std::string_view advice);

/// Checks the model, and whether the run's batch, schedule and lengths fit together.
void check_run_config(const RunConfig& config, std::int64_t ranks, const PlaceOf& place);

}  // namespace granule
