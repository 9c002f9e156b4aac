// What a rank sends to others in a training step, call by call, predicted from the layout. A run's ledger
// (distributed/communicators/ledger.hpp) counts the same. Periodic calls are not included: evaluation,
// checkpoints, the comparison of replicas.
#pragma once
#include <vector>

#include "apps/planning/plan_request.hpp"
#include "distributed/communicators/collective.hpp"

namespace granule {

/// The collectives of a step that share one group, kind and phase.
struct PlannedTraffic {
  std::string_view group;  ///< "world", "data" or "expert"
  CollectiveKind kind;
  std::string_view phase;
  std::int64_t calls = 0;
  std::int64_t bytes = 0;  ///< of one rank, if tokens go evenly to all experts
};

/// Rows without a call are left out. A group of one rank calls and sends nothing.
[[nodiscard]] std::vector<PlannedTraffic> plan_traffic(const PlanRequest& request);

}  // namespace granule
