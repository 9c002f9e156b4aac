// What the seeds of the variants say: the mean of each variant, and its paired difference from each other.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "apps/report/statistics/sentences.hpp"
#include "apps/report/statistics/statistics.hpp"
#include "apps/report/statistics/variants.hpp"

namespace granule {

/// What variants are compared by.
struct Metric {
  std::string key, name, unit;
};

/// With more variants than this there are no differences of pairs.
inline constexpr std::size_t kMostCompared = 250;

struct Comparison {
  Metric metric;
  std::vector<Estimate> means;          ///< for each variant
  std::vector<UncountedRuns> left_out;  ///< of each variant
  /// [baseline][variant]. Empty if there are so many variants that nobody could read all pairs.
  std::vector<std::vector<PairedDifference>> differences;
};

/// The validation cross-entropy, unless a run has none. Then the cross-entropy of the last row.
[[nodiscard]] Metric metric_of(std::span<const RunReading> runs);

/// Only complete runs with a finite value count. Runs of a variant with equal seeds are no two chances, so
/// their mean counts as one.
[[nodiscard]] Comparison compare(std::span<const RunReading> runs, const Grouping& grouping);

}  // namespace granule
