// What is odd about the data of a run, and no error.
#pragma once
#include "apps/config/run_config.hpp"
#include "data/sampling/data_mix.hpp"

namespace granule {

/// Warns of shards that lie beside a manifest which does not list them, and of a source so small that one
/// step takes its samples more than once.
void warn_of_data(const RunConfig& config, const DataMix& train);

}  // namespace granule
