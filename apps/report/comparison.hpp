// What the seeds of the variants say: the mean of each variant, and its paired difference from each other.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/report/statistics.hpp"
#include "apps/report/variants.hpp"

namespace granule {

/// What variants are compared by.
struct Metric {
  std::string key, name, unit;
};

struct Comparison {
  Metric metric;
  std::vector<Estimate> means;                             ///< for each variant
  std::vector<std::int64_t> incomplete;                    ///< runs of each variant that do not count
  std::vector<std::vector<PairedDifference>> differences;  ///< [baseline][variant]
};

/// The validation cross-entropy, unless a run has none. Then the cross-entropy of the last row.
[[nodiscard]] Metric metric_of(std::span<const RunReading> runs);

/// Only complete runs count. Runs of a variant with equal seeds are no two chances, so their mean counts as
/// one.
[[nodiscard]] Comparison compare(std::span<const RunReading> runs, const Grouping& grouping);

}  // namespace granule
