// What a launcher tells this process through its environment, before MPI is initialised.
#pragma once

namespace granule {

/// Whether this process was started by mpirun, srun or another MPI launcher.
[[nodiscard]] bool under_mpi_launcher();

/// Whether that launcher speaks with the MPI library. srun without PMI does not.
[[nodiscard]] bool has_mpi_launcher();

/// Processes that were started together; 0 where nobody says.
[[nodiscard]] int launched_processes();

/// This one's number among them, from 0; 0 without a launcher.
[[nodiscard]] int launched_rank();

/// Whether this host has only a part of the job's processes; false where the launcher does not say.
[[nodiscard]] bool launched_on_several_hosts();

}  // namespace granule
