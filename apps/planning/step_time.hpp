// Predicts how long a step would take on devices with given figures. Operations, optimizer and communication
// each reach a stated share of stated peaks. The result is good for orders of magnitude and ratios, and it is
// not a measurement.
#pragma once
#include "apps/planning/device.hpp"
#include "apps/planning/rehearsal.hpp"

namespace granule {

/// Floating-point operations of a step over all ranks, as they are computed: causal attention counts half of
/// its square. (The paper's counting, moe/model/counts.hpp, takes the whole square and no recomputation.)
struct StepOperations {
  double needed = 0.0;      ///< forward once and backward twice
  double recomputed = 0.0;  ///< forward once more
};
[[nodiscard]] StepOperations step_operations(const RunConfig& config);
/// The operations of forward over one prompt, with logits for the token after it alone.
[[nodiscard]] double prompt_operations(const RunConfig& config, std::int64_t tokens);

struct StepTime {
  double compute = 0.0, recompute = 0.0, optimizer = 0.0;
  double experts = 0.0, gradients = 0.0, values = 0.0, reports = 0.0;  ///< communication by its purpose
  double hidden = 0.0;  ///< communication that overlaps with computing
  [[nodiscard]] double communication() const { return experts + gradients + values + reports; }
  [[nodiscard]] double total() const { return compute + recompute + optimizer + communication() - hidden; }
};

/// The peak rate of a collective of a group, in bytes a second. If all of the group's ranks are in one node,
/// it is the node's rate, else the network's. World rank = row · ep + column, and nodes are filled in order.
[[nodiscard]] double group_rate(const PlanRequest& request, std::string_view group,
                                const DeviceFigures& device);

[[nodiscard]] StepTime predict_step(const PlanRequest& request, const Rehearsal& rehearsal,
                                    const DeviceFigures& device, const Efficiencies& reached);

}  // namespace granule
