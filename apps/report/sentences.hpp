// What the statistics of a report say, in sentences for people.
#pragma once
#include <string>
#include <string_view>

#include "apps/report/statistics.hpp"

namespace granule {

/// For example: "5.123 ± 0.015". The error has two digits, and the value ends at the same place.
[[nodiscard]] std::string with_error(double value, double error);

/// For example: "3 seeds: the mean is 5.123 ± 0.015 nats (95 % interval)." If `incomplete` runs are not
/// counted, the sentence says so.
[[nodiscard]] std::string mean_sentence(const Estimate& mean, std::string_view unit,
                                        std::int64_t incomplete = 0);
/// For example: "3 seeds: the difference is −0.021 ± 0.015 nats (95 % interval, paired t-test, p = 0.04)."
[[nodiscard]] std::string difference_sentence(const PairedDifference& paired, std::string_view unit);

}  // namespace granule
