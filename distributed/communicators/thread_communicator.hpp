// Ranks that are threads of one process, each with its own Context. Tests, sanitizers and `granule verify`
// use them.
#pragma once
#include <functional>

#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Runs body on `ranks` threads, each with its communicator of the world, and joins them all. A body that
/// throws aborts the job. The first failure is thrown again here and names its rank.
void run_thread_ranks(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace granule
