// Which GPU a rank computes on.
#pragma once
#include "apps/config/run_config.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Every rank of a host has a GPU of its own: the n-th of the job's ranks there has the n-th. Throws on all
/// ranks (exit code 2) if a host has fewer GPUs than ranks. 0 if the config wants no GPU. All ranks call it
/// together.
[[nodiscard]] int gpu_of_rank(Communicator& ranks, const RunConfig& config, int place_on_host);

}  // namespace granule
