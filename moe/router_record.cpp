#include "moe/router_record.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace granule {

LoadStatistics load_statistics(std::span<const std::int64_t> counts) {
  const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  if (counts.empty() || total == 0.0) return {0.0, 0.0, static_cast<std::int64_t>(counts.size())};
  const double mean = total / static_cast<double>(counts.size());
  double squares = 0.0;
  for (const std::int64_t count : counts) squares += std::pow(static_cast<double>(count) - mean, 2);
  return {static_cast<double>(*std::max_element(counts.begin(), counts.end())) / mean,
          std::sqrt(squares / static_cast<double>(counts.size())) / mean,
          std::count(counts.begin(), counts.end(), 0)};
}

RouterRecord::RouterRecord(std::vector<std::int64_t> layers, std::int64_t experts)
    : layers_(std::move(layers)),
      experts_(experts),
      counts_(layers_.size() * static_cast<std::size_t>(experts)) {}

void RouterRecord::begin_step() {
  std::fill(counts_.begin(), counts_.end(), 0);
}

std::span<const std::int64_t> RouterRecord::counts(std::int64_t i) const {
  return std::span(counts_).subspan(static_cast<std::size_t>(i * experts_),
                                    static_cast<std::size_t>(experts_));
}

void RouterRecord::on_routing(std::int64_t layer, const Tensor& counts_E, const Tensor&) {
  const auto found = std::find(layers_.begin(), layers_.end(), layer);
  GRANULE_CHECK(found != layers_.end(), "router record: layer {} is no mixture of experts", layer);
  const auto row = static_cast<std::size_t>((found - layers_.begin()) * experts_);
  const auto counts = counts_E.span<const std::int64_t>();
  for (std::size_t e = 0; e < counts.size(); ++e) counts_[row + e] += counts[e];
}

}  // namespace granule
