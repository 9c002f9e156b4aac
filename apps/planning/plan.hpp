// A plan says everything that can be said about a run before it starts.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "apps/planning/advice.hpp"
#include "apps/planning/step_time.hpp"

namespace granule {

struct Plan {
  PlanRequest request;
  DeviceFigures device;
  Efficiencies reached;
  RankMemory even, worst;           ///< if tokens spread evenly over experts, or all go to those of one rank
  std::vector<TrafficRow> traffic;  ///< if tokens spread evenly
  StepTime time;
  Advice advice;
};

/// Throws a user error for a layout that is not possible.
[[nodiscard]] Plan make_plan(const PlanRequest& request, const DeviceFigures& device,
                             const Efficiencies& reached);

/// {weights, gradients, optimizer, communication, statistics, staging, activations, scratch, total,
/// offloaded}. The total is of the device, and what is offloaded is beside it.
[[nodiscard]] nlohmann::ordered_json to_json(const RankMemory& memory);
[[nodiscard]] nlohmann::ordered_json to_json(const Plan& plan);
/// Several lines for people.
[[nodiscard]] std::string to_text(const Plan& plan);

}  // namespace granule
