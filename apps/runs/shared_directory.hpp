// Checks whether the hosts of a job share the run directory. Rank 0 writes it, and all ranks read its
// checkpoints.
#pragma once
#include <filesystem>

#include "distributed/hosts.hpp"

namespace granule {

enum class Going : bool { from_the_beginning, on };

/// Rank 0, which holds the directory's lock, creates a file there for a moment. One rank of every other view
/// looks for it, and rank 0 warns if one does not find it. It is an error if the job would also continue from
/// a checkpoint, and hosts have checkpoints of different steps. Whichever were taken, others would be lost.
/// Then it throws AgreedError (2) on all ranks. This is a collective.
void check_shared(Communicator& ranks, const Hosts& hosts, const std::filesystem::path& run, Going going);

}  // namespace granule
