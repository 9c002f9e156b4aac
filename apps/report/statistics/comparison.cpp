#include "apps/report/statistics/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

namespace granule {
namespace {

/// The value of each seed of a variant.
using BySeed = std::map<std::string, double>;

BySeed values_of(const Variant& variant, std::span<const RunReading> runs, const Grouping& grouping,
                 const std::string& key) {
  std::map<std::string, std::vector<double>> found;
  for (const std::size_t run : variant.runs) {
    const double value = runs[run].last_of(key);
    if (runs[run].facts.state == "complete" && std::isfinite(value))
      found[grouping.pairs[run]].push_back(value);
  }
  BySeed values;
  for (const auto& [seed, all] : found) values[seed] = *estimate(all).mean;
  return values;
}

UncountedRuns left_out_of(const Variant& variant, std::span<const RunReading> runs, const std::string& key) {
  UncountedRuns left_out;
  for (const std::size_t run : variant.runs) {
    if (runs[run].facts.state != "complete") {
      ++left_out.incomplete;
    } else if (!std::isfinite(runs[run].last_of(key))) {
      ++left_out.without_value;
    }
  }
  return left_out;
}

Estimate mean_of(const BySeed& values) {
  std::vector<double> all;
  for (const auto& [seed, value] : values) all.push_back(value);
  return estimate(all);
}

PairedDifference difference_of(const BySeed& baseline, const BySeed& variant) {
  std::vector<double> first, second;
  for (const auto& [seed, value] : baseline) {
    const auto other = variant.find(seed);
    if (other == variant.end()) continue;
    first.push_back(value);
    second.push_back(other->second);
  }
  return paired_difference(first, second);
}

/// A run that waits, or trains and will be evaluated later, does not decide what is compared.
bool lacks_evaluation(const RunReading& run) {
  const bool may_come = run.facts.state != "complete" && run.facts.evaluates;
  return run.has_rows() && !run.has_evaluation() && !may_come;
}

}  // namespace

Metric metric_of(std::span<const RunReading> runs) {
  const bool evaluated = std::ranges::any_of(runs, &RunReading::has_evaluation);
  if (!evaluated || std::ranges::any_of(runs, lacks_evaluation))
    return {"ce", "training cross-entropy", "nats"};
  return {"val_ce", "validation cross-entropy", "nats"};
}

Comparison compare(std::span<const RunReading> runs, const Grouping& grouping) {
  Comparison comparison{.metric = metric_of(runs)};
  std::vector<BySeed> values;
  for (const Variant& variant : grouping.variants) {
    values.push_back(values_of(variant, runs, grouping, comparison.metric.key));
    comparison.means.push_back(mean_of(values.back()));
    comparison.left_out.push_back(left_out_of(variant, runs, comparison.metric.key));
  }
  if (values.size() > kMostCompared) return comparison;
  for (const BySeed& baseline : values) {
    auto& row = comparison.differences.emplace_back();
    for (const BySeed& variant : values) row.push_back(difference_of(baseline, variant));
  }
  return comparison;
}

}  // namespace granule
