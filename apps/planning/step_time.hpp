// How long a step would take on devices of given figures: operations, optimizer and communication at stated
// shares of stated peaks. A prediction of orders and ratios, not a measurement.
#pragma once
#include <span>

#include "apps/planning/device.hpp"
#include "apps/planning/memory_plan.hpp"
#include "apps/planning/traffic_plan.hpp"

namespace granule {

/// Floating-point operations of a step over all ranks, as they are computed: causal attention by half of its
/// square. (The paper's counting, moe/counts.hpp, takes all of it and no recomputation.)
struct StepOperations {
  double needed = 0.0;      ///< forward, and twice that backward
  double recomputed = 0.0;  ///< forward once more
};
[[nodiscard]] StepOperations step_operations(const RunConfig& config);

struct StepTime {
  double compute = 0.0, recompute = 0.0, optimizer = 0.0;
  double experts = 0.0, gradients = 0.0, values = 0.0, reports = 0.0;  ///< communication by what it is for
  double hidden = 0.0;  ///< of the communication, behind computing
  [[nodiscard]] double communication() const { return experts + gradients + values + reports; }
  [[nodiscard]] double total() const { return compute + recompute + optimizer + communication() - hidden; }
};

/// Bytes a second of a collective of a group, at its peak: the node's where all of its ranks are in one node
/// (world rank = row · ep + column, nodes are filled in order), else the network's.
[[nodiscard]] double group_rate(const PlanRequest& request, std::string_view group,
                                const DeviceFigures& device);

[[nodiscard]] StepTime predict_step(const PlanRequest& request, std::span<const PlannedTraffic> traffic,
                                    const DeviceFigures& device, const Efficiencies& reached);

}  // namespace granule
