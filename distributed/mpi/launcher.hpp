// How a process finds the ranks of its job. One rank needs no MPI, so MPI is initialised only under a
// launcher.
#pragma once
#include <functional>
#include <memory>

#include "distributed/communicators/communicator.hpp"
#include "distributed/mpi/launched.hpp"

namespace granule {

/// The ranks of this process's job. Without a launcher that is one rank. Otherwise they are MPI's, which is
/// initialised now and finalised when the communicator is destroyed. Throws (exit code 2) if several
/// processes were started that know nothing of each other. srun without PMI starts them so, and so does the
/// launcher of another MPI.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator();

/// Runs body with the ranks of this job. If there is one rank, an exception passes through. If there are
/// several, it ends all of them with its exit code.
void run_job(const std::function<void(Communicator&)>& body);

/// How many ranks, this one included, may use exactly the cores that this one may use. That is all ranks of a
/// host, or one if the launcher binds each rank to its own cores. It is a collective.
[[nodiscard]] std::int64_t ranks_on_these_cores(Communicator& ranks);

}  // namespace granule
