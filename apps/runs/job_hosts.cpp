#include "apps/runs/job_hosts.hpp"

#include <algorithm>

#include "distributed/agreement.hpp"
#include "distributed/hosts.hpp"

namespace granule {

std::vector<std::string> hosts_of_ranks(Communicator& ranks) {
  return texts_of_all(ranks, host_name(), "hosts");
}

std::vector<std::string> each_once(const std::vector<std::string>& hosts) {
  std::vector<std::string> once;
  for (const std::string& host : hosts) {
    if (std::ranges::find(once, host) == once.end()) once.push_back(host);
  }
  return once;
}

std::int64_t ranks_on_this_host(Communicator& ranks) {
  const std::vector<std::string> hosts = hosts_of_ranks(ranks);
  return std::ranges::count(hosts, hosts[static_cast<std::size_t>(ranks.rank())]);
}

}  // namespace granule
