// A warning about where the launcher has put the ranks.
#pragma once
#include "distributed/hosts.hpp"

namespace granule {

/// Rank 0 warns where ranks that exchange tokens are on several hosts without need.
void warn_of_split_rows(const Communicator& ranks, const Hosts& hosts, std::int64_t ep);

}  // namespace granule
