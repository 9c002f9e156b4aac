// Ranks on several hosts may read their own copies of files. The copies must be the same, or the ranks would
// train one model from different inputs.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "apps/config/run_config.hpp"
#include "apps/inputs/run_data.hpp"
#include "apps/models/model_files.hpp"
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

/// An option of the command line and its value, which is empty if it is not given.
using Option = std::pair<std::string, std::string>;

/// Throws AgreedError (76) unless all ranks were given the same options. The error names the first that
/// differs, with two values. A launcher may start each rank with arguments of its own. This is a collective.
void require_same_options(Communicator& ranks, const Hosts& hosts, const std::vector<Option>& options);

/// Which ranks compare the digests in a data set's manifest with its shards: one rank of every view.
[[nodiscard]] DigestCheck digest_check_of(const Hosts& hosts);

}  // namespace granule
