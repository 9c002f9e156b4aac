// What the statistics of a report say, in sentences for people.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "apps/report/statistics/statistics.hpp"

namespace granule {

/// For example: "5.123 ± 0.015". The error has two digits, and the value ends at the same place.
[[nodiscard]] std::string with_error(double value, double error);

/// Runs of a variant that are not in its mean.
struct UncountedRuns {
  std::int64_t incomplete = 0;
  std::int64_t without_value = 0;  ///< complete, and the value is not finite or absent
};

/// For example: "3 seeds: the mean is 5.123 ± 0.015 nats (95 % interval)." It also says which runs do not
/// count.
[[nodiscard]] std::string mean_sentence(const Estimate& mean, std::string_view unit,
                                        UncountedRuns left_out = {});
/// For example: "3 seeds: the difference is −0.021 ± 0.015 nats (95 % interval, paired t-test, p = 0.04)."
[[nodiscard]] std::string difference_sentence(const PairedDifference& paired, std::string_view unit);

}  // namespace granule
