// What a rank sends to others in a training step, call by call, as its ledger counts it
// (distributed/communicators/ledger.hpp): foretold from the layout. Periodic calls (evaluation, checkpoints,
// the comparison of replicas) are not in it.
#pragma once
#include <vector>

#include "apps/planning/plan_request.hpp"
#include "distributed/communicators/collective.hpp"

namespace granule {

/// Collectives of a step of one group, kind and phase.
struct PlannedTraffic {
  std::string_view group;  ///< "world", "data" or "expert"
  CollectiveKind kind;
  std::string_view phase;
  std::int64_t calls = 0;
  std::int64_t bytes = 0;  ///< of one rank; tokens going evenly to all experts
};

/// Rows without a call are left out; a group of one rank calls and sends nothing.
[[nodiscard]] std::vector<PlannedTraffic> plan_traffic(const PlanRequest& request);

}  // namespace granule
