#include "apps/records/router_report.hpp"

#include <algorithm>
#include <numeric>

#include <nlohmann/json.hpp>

namespace granule {
namespace {

template <class Get>
auto by_layer(const std::vector<RouterReport>& routers, Get get) {
  std::vector<std::decay_t<decltype(get(routers[0]))>> values;
  for (const RouterReport& router : routers) values.push_back(get(router));
  return values;
}

double mean(const std::vector<double>& values) {
  return values.empty()
             ? 0.0
             : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double largest(const std::vector<double>& values) {
  return values.empty() ? 0.0 : *std::max_element(values.begin(), values.end());
}

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

}  // namespace

std::vector<RouterReport> router_reports(const RouterRecord& record,
                                         const std::vector<GradientShares>& shares) {
  std::vector<RouterReport> reports;
  for (std::int64_t i = 0; i < record.layers(); ++i) {
    const auto dropped = record.dropped(i);
    reports.push_back({load_statistics(record.counts(i)),
                       {dropped.begin(), dropped.end()},
                       record.entropy(i),
                       shares[static_cast<std::size_t>(i)].balance_over_ce()});
  }
  return reports;
}

void add_routers(nlohmann::ordered_json& row, const std::vector<RouterReport>& routers) {
  const auto max_over_mean = by_layer(routers, [](const auto& r) { return r.load.max_over_mean; });
  const auto cv = by_layer(routers, [](const auto& r) { return r.load.cv; });
  const auto dead = by_layer(routers, [](const auto& r) { return r.load.dead; });
  const auto dropped = by_layer(routers, [](const auto& r) { return sum(r.dropped); });
  const auto entropy = by_layer(routers, [](const auto& r) { return r.entropy; });
  const auto balance = by_layer(routers, [](const auto& r) { return r.balance_over_ce; });
  row["load_max_over_mean"] = largest(max_over_mean);
  row["load_cv"] = mean(cv);
  row["dead_experts"] = sum(dead);
  row["dropped"] = sum(dropped);
  row["router_entropy"] = mean(entropy);
  row["balance_over_ce"] = mean(balance);
  row["load_max_over_mean_by_layer"] = max_over_mean;
  row["load_cv_by_layer"] = cv;
  row["dead_experts_by_layer"] = dead;
  row["dropped_by_layer"] = dropped;
  if (sum(dropped) > 0)
    row["dropped_by_expert_by_layer"] = by_layer(routers, [](const auto& r) { return r.dropped; });
  row["router_entropy_by_layer"] = entropy;
  row["balance_over_ce_by_layer"] = balance;
}

double mean_load_cv(const std::vector<RouterReport>& routers) {
  return mean(by_layer(routers, [](const auto& r) { return r.load.cv; }));
}

}  // namespace granule
