// Apart from run_job: a test program may make other ranks for the same job.
#include <cstdlib>

#include "distributed/communicators/self_communicator.hpp"
#include "distributed/mpi/launcher.hpp"
#include "distributed/mpi/mpi_communicator.hpp"

namespace granule {
namespace {

/// The number in an environment variable; 0 when there is none.
int number_in(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

/// srun says so of every process, also where it has no way to tell them about each other.
int started_by_srun() {
  return number_in("SLURM_STEP_NUM_TASKS");
}

int started_by_launcher() {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const int started = number_in(name); started > 0) return started;
  }
  return started_by_srun();
}

[[noreturn]] void refuse_strangers(int processes) {
  user_error(
      fmt::format("{} processes were started together, but each believes to be alone", processes),
      "MPI launcher",
      "use the mpirun that belongs to the MPI library in granule --version, or srun --mpi=pmix if that "
      "was built with PMIx");
}

bool has_mpi_launcher() {
  // OpenMPI, and the PMI variants that srun and other launchers set.
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

}  // namespace

bool under_mpi_launcher() {
  return has_mpi_launcher() || started_by_srun() > 1;
}

std::unique_ptr<Communicator> make_communicator() {
  if (!under_mpi_launcher()) return std::make_unique<SelfCommunicator>();
  if (!has_mpi_launcher()) refuse_strangers(started_by_srun());
  std::unique_ptr<Communicator> ranks = make_mpi_communicator();
  if (const int started = started_by_launcher(); started > ranks->size()) refuse_strangers(started);
  return ranks;
}

}  // namespace granule
