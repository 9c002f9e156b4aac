// How the ranks of this process's job are found. One rank needs no MPI: it is initialised only under a
// launcher.
#pragma once
#include <functional>
#include <memory>

#include "distributed/communicators/communicator.hpp"
#include "distributed/mpi/launched.hpp"

namespace granule {

/// The ranks of this process's job: one without a launcher, else MPI's, initialised now and finalised when
/// the communicator goes. Throws (exit 2) where several processes were started that know nothing of each
/// other: by srun without PMI, or by the launcher of another MPI.
[[nodiscard]] std::unique_ptr<Communicator> make_communicator();

/// Runs body with the ranks of this job. An exception leaves as it came where there is one rank; where there
/// are several it ends all of them, with its exit code.
void run_job(const std::function<void(Communicator&)>& body);

/// How many ranks, this one among them, may use exactly the cores that this one may use: all of a host, or
/// one where the launcher binds each to cores of its own. A collective.
[[nodiscard]] std::int64_t ranks_on_these_cores(Communicator& ranks);

}  // namespace granule
