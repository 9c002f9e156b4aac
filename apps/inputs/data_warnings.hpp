// Warnings about the data of a run or of an evaluation, for what is strange but not an error.
#pragma once
#include "apps/config/run_config.hpp"
#include "data/sampling/data_mix.hpp"

namespace granule {

/// Warns about shards in a folder whose manifest does not list them. Also warns about a source that is so
/// small that one step takes its samples more than once, and about unwritten tokens.
void warn_of_data(const RunConfig& config, const DataMix& train);

/// Warns about shards that end as if their last tokens had never been written.
void warn_of_unwritten_tokens(const DataMix& data);

}  // namespace granule
