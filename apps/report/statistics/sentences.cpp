#include "apps/report/statistics/sentences.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace granule {
namespace {

constexpr std::int64_t kEnough = 3;  // fewer seeds have no interval, or one that is too wide to use
constexpr double kRare = 0.05;

/// A minus sign, and not a hyphen.
std::string signed_text(double value, int decimals) {
  const std::string text = fmt::format("{:.{}f}", std::abs(value), decimals);
  return value < 0.0 ? "−" + text : text;
}

std::string seeds_text(std::int64_t n) {
  return fmt::format("{} seed{}", n, n == 1 ? "" : "s");
}

double half_of(const Estimate& estimated) {
  return (estimated.interval->high - estimated.interval->low) / 2;
}

/// What the test says about chance.
std::string chance_text(double p) {
  if (p < 1e-4) return "p < 0.0001";
  return fmt::format("p = {:.{}g}", p, p < 0.1 ? 1 : 2);
}

std::string left_out_text(const UncountedRuns& left_out) {
  std::string text;
  const auto add = [&](std::int64_t runs, const char* one, const char* many) {
    if (runs > 0) text += fmt::format(" {} {} and not counted.", runs, runs == 1 ? one : many);
  };
  add(left_out.incomplete, "run is not complete", "runs are not complete");
  add(left_out.without_value, "run is without a finite value", "runs are without a finite value");
  return text;
}

}  // namespace

std::string with_error(double value, double error) {
  const bool known = std::isfinite(error) && error > 0.0;
  const int decimals = known ? std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, 9) : 4;
  return fmt::format("{} ± {}", signed_text(value, decimals), signed_text(error, decimals));
}

std::string mean_sentence(const Estimate& mean, std::string_view unit, UncountedRuns left_out) {
  const std::string others = left_out_text(left_out);
  if (mean.n == 0)
    return left_out.without_value > 0 ? "No run has a finite value." : "No run is complete yet.";
  if (mean.n == 1) {
    return fmt::format("1 seed: {} {}. One value says nothing about chance; run at least {} seeds.{}",
                       signed_text(*mean.mean, 4), unit, kEnough, others);
  }
  const std::string known = fmt::format("{}: the mean is {} {} (95 % interval).", seeds_text(mean.n),
                                        with_error(*mean.mean, half_of(mean)), unit);
  if (mean.n >= kEnough) return known + others;
  return fmt::format("{} {} are too few to trust it; run at least {}.{}", known, seeds_text(mean.n), kEnough,
                     others);
}

std::string difference_sentence(const PairedDifference& paired, std::string_view unit) {
  const Estimate& difference = paired.difference;
  if (difference.n == 0) return "No seed has a value of both.";
  if (difference.n == 1) {
    return fmt::format(
        "1 seed: the difference is {} {}. One difference says nothing about chance; run at "
        "least {} seeds.",
        signed_text(*difference.mean, 4), unit, kEnough);
  }
  const std::string seeds = seeds_text(difference.n);
  if (!paired.p) return fmt::format("{}: both have the same values.", seeds);
  const std::string known =
      fmt::format("{}: the difference is {} {} (95 % interval, paired t-test, {}).", seeds,
                  with_error(*difference.mean, half_of(difference)), unit, chance_text(*paired.p));
  if (difference.n < kEnough)
    return fmt::format("{} {} are too few to trust it; run at least {}.", known, seeds, kEnough);
  return *paired.p < kRare ? known : known + " Chance alone can explain it.";
}

}  // namespace granule
