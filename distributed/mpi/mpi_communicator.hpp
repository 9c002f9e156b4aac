// The ranks that an MPI launcher started.
#pragma once
#include "distributed/communicators/communicator.hpp"

namespace granule {

struct MpiOptions {
  /// The most elements of one message, because MPI counts them in an int. Longer messages are sent in pieces.
  std::int64_t largest_message = std::int64_t{1} << 30;
};

/// Initialises MPI. A process has one such communicator at a time, and makes it in the thread that uses it.
/// MPI is finalised when this communicator and all groups split from it are gone. abort() prints one line and
/// ends all processes. If an exception destroys the last communicator of a rank, the other ranks are ended
/// too. An exception may also destroy the communicator of a group; the job must then end, because no rank
/// waits for a rank that has thrown.
[[nodiscard]] std::unique_ptr<Communicator> make_mpi_communicator(const MpiOptions& options = {});

}  // namespace granule
