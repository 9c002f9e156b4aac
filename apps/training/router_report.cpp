#include "apps/training/router_report.hpp"

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

std::vector<RouterReport> router_reports(const Model& model, const RouterRecord& record) {
  const PhaseTimer timer(model.parameters().values().context().profile(), "router statistics");
  const ParameterStore& parameters = model.parameters();
  std::vector<RouterReport> reports;
  for (std::int64_t i = 0; i < record.layers(); ++i) {
    RouterReport report{load_statistics(record.counts(i)), record.dropped(i), record.entropy(i)};
    const std::int64_t layer = model.moe_layers()[static_cast<std::size_t>(i)];
    if (const auto gate = fmt::format("model.layers.{}.mlp.gate.weight", layer); parameters.has(gate))
      report.balance_over_ce = record.balance_over_ce(i, parameters.gradient_of(parameters.find(gate)));
    reports.push_back(report);
  }
  return reports;
}

void add_routers(nlohmann::ordered_json& row, const std::vector<RouterReport>& routers) {
  const auto max_over_mean = by_layer(routers, [](const auto& r) { return r.load.max_over_mean; });
  const auto cv = by_layer(routers, [](const auto& r) { return r.load.cv; });
  const auto dead = by_layer(routers, [](const auto& r) { return r.load.dead; });
  const auto dropped = by_layer(routers, [](const auto& r) { return r.dropped; });
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
  row["router_entropy_by_layer"] = entropy;
  row["balance_over_ce_by_layer"] = balance;
}

double mean_load_cv(const std::vector<RouterReport>& routers) {
  return mean(by_layer(routers, [](const auto& r) { return r.load.cv; }));
}

}  // namespace granule
