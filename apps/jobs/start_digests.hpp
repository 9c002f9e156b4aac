// What a run starts with, as digests. Runs that are compared with each other must start with the same values
// and read the same batches, and their digests show whether they do.
#pragma once
#include <filesystem>

#include "apps/config/run_config.hpp"
#include "apps/inputs/run_data.hpp"
#include "moe/training/sharded_model.hpp"

namespace granule {

/// RUN/digests.json:
///   {"format": "granule-digests/1", "steps", "data": SHA-256, "batches": SHA-256,
///    "values": {NAME: {"shape": […], "xxh3": …}}}
/// `data` is of the data's identity, and `batches` is of the same and of the samples of so many steps in
/// their order. `values` has every tensor by its Hugging Face name, as it is now. This is a collective, and
/// rank 0 names the run.
void write_start_digests(ShardedModel& sharded, const RunConfig& config, const RunData& data,
                         const std::filesystem::path& run);

[[nodiscard]] std::filesystem::path start_digests_of(const std::filesystem::path& run);

}  // namespace granule
