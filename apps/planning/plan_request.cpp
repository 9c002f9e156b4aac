#include "apps/planning/plan_request.hpp"

#include "distributed/communicators/mesh.hpp"

namespace granule {

void check_request(const PlanRequest& request) {
  check_layout(request.config.parallel, request.config.moe.n_routed_experts, request.ranks);
}

}  // namespace granule
