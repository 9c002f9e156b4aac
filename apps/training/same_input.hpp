// Ranks on several hosts may read their own copies of files. The copies must be the same, or the ranks would
// train one model from different inputs.
#pragma once
#include <optional>
#include <string>

#include "apps/config/run_config.hpp"
#include "apps/models/model_files.hpp"
#include "apps/training/run_data.hpp"
#include "distributed/hosts.hpp"

namespace granule {

/// What a rank has read by itself. A part that is absent must be absent on all ranks.
struct JobInput {
  const RunConfig& config;
  const RunData* data = nullptr;
  const ModelFiles* start = nullptr;  ///< the model to start from
};

/// Throws AgreedError (76) unless all ranks have read the same config, data and model to start from, with
/// every byte of its files. The error names what differs, and two ranks. For this, one rank of every view
/// reads the files of a Hugging Face directory. If there is only one view, no rank does. This is a
/// collective.
void require_same_input(Communicator& ranks, const Hosts& hosts, const JobInput& mine);

/// Which ranks compare the digests in a data set's manifest with its shards: one rank of every view.
[[nodiscard]] DigestCheck digest_check_of(const Hosts& hosts);

}  // namespace granule
