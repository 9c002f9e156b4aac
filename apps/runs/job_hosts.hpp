// The hosts that the ranks of a job run on, by name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "distributed/communicators/communicator.hpp"

namespace granule {

/// Of every rank, by its number. A collective.
[[nodiscard]] std::vector<std::string> hosts_of_ranks(Communicator& ranks);
/// Each host once, in the order of its first rank.
[[nodiscard]] std::vector<std::string> each_once(const std::vector<std::string>& hosts);
/// This rank among them. A collective.
[[nodiscard]] std::int64_t ranks_on_this_host(Communicator& ranks);

}  // namespace granule
