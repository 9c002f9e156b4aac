// What a step's report says about each router.
#pragma once
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "moe/training/router_record.hpp"

namespace granule {

struct RouterReport {
  LoadStatistics load;
  std::vector<std::int64_t> dropped;  ///< choices refused by each expert's capacity
  double entropy = 0.0;               ///< mean over tokens, in nats
  /// On the router's weights: the norm of the gradient of this layer's balance losses, divided by the norm of
  /// the rest of the gradient.
  double balance_over_ce = 0.0;
};

/// The report of every MoE layer in a step.
[[nodiscard]] std::vector<RouterReport> router_reports(const RouterRecord& record,
                                                       const std::vector<GradientShares>& shares);

/// Adds the figures of the whole run, and then those of each layer. A figure of the run is the maximum over
/// layers, a mean, or a sum of counts.
void add_routers(nlohmann::ordered_json& row, const std::vector<RouterReport>& routers);

/// The mean over layers of the load's coefficient of variation. It is the one such figure in a progress line.
[[nodiscard]] double mean_load_cv(const std::vector<RouterReport>& routers);

}  // namespace granule
