// Separate from run_job, because a test program may make other ranks for the same job.
#include "distributed/communicators/self_communicator.hpp"
#include "distributed/mpi/launcher.hpp"
#include "distributed/mpi/mpi_communicator.hpp"

namespace granule {
namespace {

[[noreturn]] void refuse_strangers(int processes) {
  user_error(
      fmt::format("{} processes were started together, but each one is a job of one rank", processes),
      "MPI launcher",
      "use the mpirun that belongs to the MPI library in granule --version, or srun --mpi=pmix if that "
      "was built with PMIx");
}

}  // namespace

std::unique_ptr<Communicator> make_communicator() {
  if (!under_mpi_launcher()) return std::make_unique<SelfCommunicator>();
  if (!has_mpi_launcher()) refuse_strangers(launched_processes());
  std::unique_ptr<Communicator> ranks = make_mpi_communicator();
  if (const int started = launched_processes(); started > ranks->size()) refuse_strangers(started);
  return ranks;
}

}  // namespace granule
