// What a launcher tells this process through its environment, before MPI is initialised.
#pragma once

namespace granule {

/// Whether this process was started by mpirun, srun or another MPI launcher.
[[nodiscard]] bool under_mpi_launcher();

/// Whether that launcher can talk to the MPI library. srun without PMI cannot.
[[nodiscard]] bool has_mpi_launcher();

/// Number of processes that were started together, or 0 if the launcher does not say.
[[nodiscard]] int launched_processes();

/// The number of this process among them, from 0. It is 0 without a launcher.
[[nodiscard]] int launched_rank();

/// Whether mpirun of Open MPI started this process as one of several.
[[nodiscard]] bool launched_with_others();

/// Whether this host has only a part of the job's processes. False if the launcher does not say.
[[nodiscard]] bool launched_on_several_hosts();

}  // namespace granule
