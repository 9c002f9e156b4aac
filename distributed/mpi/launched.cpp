#include "distributed/mpi/launched.hpp"

#include <cstdlib>
#include <initializer_list>

namespace granule {
namespace {

/// The number in an environment variable, or 0 if there is none.
int number_in(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

/// srun sets it for every process, even if it gives them no way to find each other.
int started_by_srun() {
  return number_in("SLURM_STEP_NUM_TASKS");
}

}  // namespace

bool has_mpi_launcher() {
  // OpenMPI, and the PMI variants that srun and other launchers set.
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

bool under_mpi_launcher() {
  return has_mpi_launcher() || started_by_srun() > 1;
}

int launched_processes() {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const int started = number_in(name); started > 0) return started;
  }
  return started_by_srun();
}

int launched_rank() {
  for (const char* const name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(name) != nullptr) return number_in(name);
  }
  return started_by_srun() > 1 ? number_in("SLURM_PROCID") : 0;
}

bool launched_with_others() {
  return number_in("OMPI_COMM_WORLD_SIZE") > 1;
}

bool launched_on_several_hosts() {
  const int here = number_in("OMPI_COMM_WORLD_LOCAL_SIZE");
  return here > 0 && here < number_in("OMPI_COMM_WORLD_SIZE");
}

}  // namespace granule
