#include "distributed/mpi_communicator.hpp"

#include <cstdio>
#include <cstdlib>

#include <mpi.h>

namespace granule {

MpiCommunicator::MpiCommunicator() {
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
    user_error("MPI could not be initialised", "MPI_Init_thread", "check the MPI launcher");
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

MpiCommunicator::~MpiCommunicator() {
  MPI_Finalize();
}

void MpiCommunicator::abort(ExitCode code, std::string_view message) {
  fmt::print(stderr, "granule: error: rank {}: {}\n", rank_, message);
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::abort();  // MPI_Abort does not return
}

}  // namespace granule
