#include "distributed/mpi/launcher.hpp"

namespace granule {

void run_job(const std::function<void(Communicator&)>& body) {
  const std::unique_ptr<Communicator> ranks = make_communicator();
  if (ranks->size() == 1) return body(*ranks);
  run_or_abort(*ranks, body);
}

}  // namespace granule
