// Ranks on several hosts read files of their own: they must find the same in them, or they would train one
// model from several.
#pragma once
#include <optional>
#include <string>

#include "apps/config/run_config.hpp"
#include "apps/models/model_files.hpp"
#include "apps/training/run_data.hpp"
#include "distributed/hosts.hpp"

namespace granule {

/// What a rank has read by itself. Absent parts are absent on all ranks.
struct JobInput {
  const RunConfig& config;
  const RunData* data = nullptr;
  const ModelFiles* start = nullptr;  ///< the model to start from
};

/// Throws AgreedError (76) that names what differs, and two ranks, unless all ranks have read the same:
/// config, data, and the model to start from with every byte of its files. One rank of every view reads the
/// files of a Hugging Face directory for this; where there is one view, nobody does. A collective.
void require_same_input(Communicator& ranks, const Hosts& hosts, const JobInput& mine);

/// Who compares the digests of a data set's manifest with its shards: one rank of every view.
[[nodiscard]] DigestCheck digest_check_of(const Hosts& hosts);

}  // namespace granule
