// What a step's report says of each router.
#pragma once
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "distributed/zero/sharded_parameters.hpp"
#include "moe/model.hpp"
#include "moe/routing/router_record.hpp"

namespace granule {

struct RouterReport {
  LoadStatistics load;
  std::vector<std::int64_t> dropped;  ///< choices that each expert's capacity refused
  double entropy = 0.0;               ///< mean over tokens, nats
  /// On the router's weights: the norm of the gradient of this layer's balance losses over that of all the
  /// rest.
  double balance_over_ce = 0.0;
};

/// Of every mixture-of-experts layer, after gradients and record of a step are summed over the ranks.
[[nodiscard]] std::vector<RouterReport> router_reports(const Model& model, const RouterRecord& record,
                                                       const ShardedParameters& parameters);

/// The run's figures (the worst layer's maximum, means of what has a mean, sums of what is counted), then
/// each layer's.
void add_routers(nlohmann::ordered_json& row, const std::vector<RouterReport>& routers);

/// Mean coefficient of variation of the load over layers, the one figure of a progress line.
[[nodiscard]] double mean_load_cv(const std::vector<RouterReport>& routers);

}  // namespace granule
