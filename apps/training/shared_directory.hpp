// Whether the hosts of a job share the run directory. Rank 0 writes it; all ranks read its checkpoints.
#pragma once
#include <filesystem>

#include "distributed/hosts.hpp"

namespace granule {

enum class Going : bool { from_the_beginning, on };

/// Rank 0, which holds the directory's lock, leaves a file there for a moment, and one rank of every other
/// view looks for it. Where one does not find it, rank 0 warns. Throws AgreedError (2) on all ranks when,
/// besides, the job would go on from a checkpoint and hosts do not have checkpoints of the same steps:
/// whichever were taken, others would be lost. A collective.
void check_shared(Communicator& ranks, const Hosts& hosts, const std::filesystem::path& run, Going going);

}  // namespace granule
