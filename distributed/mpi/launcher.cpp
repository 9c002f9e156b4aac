#include "distributed/mpi/launcher.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include <sched.h>

#include "data/files/digest.hpp"
#include "distributed/hosts.hpp"

namespace granule {

void run_job(const std::function<void(Communicator&)>& body) {
  const std::unique_ptr<Communicator> ranks = make_communicator();
  if (ranks->size() == 1) return body(*ranks);
  run_or_abort(*ranks, body);
}

std::int64_t ranks_on_these_cores(Communicator& ranks) {
  cpu_set_t cores{};
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return ranks.size();
  std::string place = whereabouts().host;
  place.append(reinterpret_cast<const char*>(&cores), sizeof(cores));
  const std::string digest = xxh3_of(std::as_bytes(std::span(place)));
  const std::array mine{static_cast<std::int64_t>(std::stoull(digest, nullptr, 16))};
  std::vector<std::int64_t> all(static_cast<std::size_t>(ranks.size()));
  ranks.all_gather(mine, all, "cores").wait();
  return std::count(all.begin(), all.end(), mine[0]);
}

}  // namespace granule
