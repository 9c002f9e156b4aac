// Runs the cells of a sweep on groups of the ranks of an MPI job.
#pragma once
#include <filesystem>

#include "apps/sweep/running/sweep_processes.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// The ranks form `groups` groups of equal size, and each trains cells that are not complete. Which ones is
/// decided before, by their predicted times. What a cell does wrong, and all its ranks know of, is recorded
/// and the others go on. A rank that crashes ends the job, and the next one goes on where it ended. All ranks
/// get the outcome. This is a collective.
[[nodiscard]] SweepOutcome run_on_groups(Communicator& world, const SweepPlan& plan,
                                         const std::filesystem::path& sweep, int groups,
                                         StopSignals& signals);

/// Which cells each group trains: the longest first, each on the group with the least to do.
[[nodiscard]] std::vector<std::vector<std::size_t>> shares_of(const SweepPlan& plan, int groups);

}  // namespace granule
