#include "apps/report/statistics/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <boost/math/distributions/students_t.hpp>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr double kOutside = 0.05;  // an interval of 95 %

using StudentsT = boost::math::students_t_distribution<double>;

std::vector<double> present(std::span<const double> values) {
  std::vector<double> finite;
  std::ranges::copy_if(values, std::back_inserter(finite), [](double value) { return std::isfinite(value); });
  return finite;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Equal values have a deviation of exactly 0, whatever their mean was rounded to.
double deviation_of(const std::vector<double>& values, double mean) {
  const auto [least, most] = std::ranges::minmax(values);
  if (least == most) return 0.0;
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

double error_of_mean(const Estimate& estimated) {
  return *estimated.deviation / std::sqrt(static_cast<double>(estimated.n));
}

StudentsT distribution_of(const Estimate& estimated) {
  return StudentsT(static_cast<double>(estimated.n - 1));
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  const std::vector<double> finite = present(values);
  Estimate result{.n = static_cast<std::int64_t>(finite.size())};
  if (finite.empty()) return result;
  const double mean = mean_of(finite);
  result.mean = mean;
  if (finite.size() < 2) return result;
  result.deviation = deviation_of(finite, mean);
  const double t = boost::math::quantile(boost::math::complement(distribution_of(result), kOutside / 2));
  const double half = t * error_of_mean(result);
  result.interval = Interval{mean - half, mean + half};
  return result;
}

PairedDifference paired_difference(std::span<const double> baseline, std::span<const double> variant) {
  GRANULE_CHECK(baseline.size() == variant.size(), "paired_difference: {} seeds and {}", baseline.size(),
                variant.size());
  std::vector<double> differences;
  for (std::size_t i = 0; i < baseline.size(); ++i) differences.push_back(variant[i] - baseline[i]);
  PairedDifference result{.difference = estimate(differences)};
  const Estimate& difference = result.difference;
  if (!difference.deviation) return result;
  if (*difference.deviation > 0.0) {
    const double t = std::abs(*difference.mean) / error_of_mean(difference);
    result.p = 2.0 * boost::math::cdf(boost::math::complement(distribution_of(difference), t));
  } else if (*difference.mean != 0.0) {
    result.p = 0.0;
  }
  return result;
}

}  // namespace granule
