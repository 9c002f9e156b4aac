#include "distributed/communicator.hpp"

#include <cstdlib>

#include "distributed/mpi_communicator.hpp"

namespace granule {

void SelfCommunicator::abort(ExitCode code, std::string_view message) {
  throw Error(code, message, "", "");
}

bool under_mpi_launcher() {
  // OpenMPI, and the PMI variants that srun and other launchers set.
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

std::unique_ptr<Communicator> make_communicator() {
  if (!under_mpi_launcher()) return std::make_unique<SelfCommunicator>();
  return std::make_unique<MpiCommunicator>();
}

}  // namespace granule
