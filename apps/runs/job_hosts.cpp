#include "apps/runs/job_hosts.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <unistd.h>

namespace granule {

std::vector<std::string> hosts_of_ranks(Communicator& ranks) {
  constexpr std::size_t kWords = 32;  // of eight bytes: names have 64 characters at most, domains more
  std::array<std::int64_t, kWords> mine{};
  std::array<char, 8 * kWords> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) name = {'?'};
  std::memcpy(mine.data(), name.data(), name.size());
  std::vector<std::int64_t> all(kWords * static_cast<std::size_t>(ranks.size()));
  ranks.all_gather(mine, all, "hosts").wait();
  std::vector<std::string> hosts;
  for (std::size_t rank = 0; rank < all.size() / kWords; ++rank) {
    std::memcpy(name.data(), all.data() + rank * kWords, name.size());
    hosts.emplace_back(name.data());
  }
  return hosts;
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
