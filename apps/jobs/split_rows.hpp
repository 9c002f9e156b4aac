// A warning about where the launcher has placed the ranks.
#pragma once
#include "distributed/hosts.hpp"

namespace granule {

/// Rank 0 warns if ranks that exchange tokens are on several hosts and need not be.
void warn_of_split_rows(const Communicator& ranks, const Hosts& hosts, std::int64_t ep);

}  // namespace granule
