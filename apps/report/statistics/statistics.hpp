// What a few numbers, one for each seed, say about chance: their mean, and the paired difference of two
// variants. A number that is not finite counts as absent. There are no sentences here, see sentences.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

namespace granule {

struct Interval {
  double low, high;
};

struct Estimate {
  std::int64_t n = 0;
  std::optional<double> mean{};
  std::optional<double> deviation{};   ///< standard deviation with the divisor n − 1; absent if n < 2
  std::optional<Interval> interval{};  ///< 95 % interval of the mean by Student's t; absent if n < 2
};

struct PairedDifference {
  Estimate difference;
  /// Of the two-sided paired t-test. Absent if n < 2, or if every pair is equal.
  std::optional<double> p{};
};

[[nodiscard]] Estimate estimate(std::span<const double> values);

/// variant − baseline over the seeds that have both. The spans have one value for each seed, in the same
/// order.
[[nodiscard]] PairedDifference paired_difference(std::span<const double> baseline,
                                                 std::span<const double> variant);

}  // namespace granule
