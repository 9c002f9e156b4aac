#include "distributed/mpi/launcher.hpp"

#include <cstdlib>

#include "distributed/communicators/self_communicator.hpp"
#include "distributed/mpi/mpi_communicator.hpp"

namespace granule {

bool under_mpi_launcher() {
  // OpenMPI, and the PMI variants that srun and other launchers set.
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

std::unique_ptr<Communicator> make_communicator() {
  if (!under_mpi_launcher()) return std::make_unique<SelfCommunicator>();
  return make_mpi_communicator();
}

void run_job(const std::function<void(Communicator&)>& body) {
  const std::unique_ptr<Communicator> ranks = make_communicator();
  if (ranks->size() == 1) return body(*ranks);
  run_or_abort(*ranks, body);
}

}  // namespace granule
