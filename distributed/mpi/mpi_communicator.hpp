// The ranks that an MPI launcher started.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

struct MpiOptions {
  /// Elements of one message; MPI counts them in an int. Longer ones are cut.
  std::int64_t largest_message = std::int64_t{1} << 30;
};

/// Initialises MPI. One at a time, from the thread that goes on to use it; when it and the groups split from
/// it have gone, MPI is finalised. abort() prints one line and ends all processes; so does the last
/// communicator of a rank that an exception leaves while there are others. Groups may be left by an
/// exception, but then the job has to end: no rank waits for another that has thrown.
[[nodiscard]] std::unique_ptr<Communicator> make_mpi_communicator(const MpiOptions& options = {});

}  // namespace granule
