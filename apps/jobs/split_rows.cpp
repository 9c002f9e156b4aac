#include "apps/jobs/split_rows.hpp"

#include "apps/program/console.hpp"

namespace granule {

void warn_of_split_rows(const Communicator& ranks, const Hosts& hosts, std::int64_t ep) {
  const std::string split = hosts.split_rows(ep);
  if (split.empty() || ranks.rank() != 0) return;
  say("granule: warning: {}: their tokens cross the network; start neighbouring ranks on one host, as mpirun "
      "does with --map-by slot",
      split);
}

}  // namespace granule
