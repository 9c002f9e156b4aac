// How many tokens every expert of every layer got in a step, and what the numbers say about the balance.
#pragma once
#include <vector>

#include "nn/pass.hpp"

namespace granule {

/// What people ask of the load of one layer's experts.
struct LoadStatistics {
  double max_over_mean = 0.0;  ///< 1 = balanced
  double cv = 0.0;             ///< coefficient of variation: standard deviation over mean
  std::int64_t dead = 0;       ///< experts without a token
};
[[nodiscard]] LoadStatistics load_statistics(std::span<const std::int64_t> counts);

/// Sums counts over the micro-batches of a step.
class RouterRecord final : public RoutingObserver {
 public:
  RouterRecord(std::vector<std::int64_t> layers, std::int64_t experts);
  void begin_step();
  void on_routing(std::int64_t layer, const Tensor& counts_E, const Tensor& scores_NE) override;

  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  [[nodiscard]] std::int64_t experts() const { return experts_; }
  /// Of the i-th mixture-of-experts layer.
  [[nodiscard]] std::span<const std::int64_t> counts(std::int64_t i) const;
  /// All layers, one after the other.
  [[nodiscard]] std::span<const std::int64_t> counts() const { return counts_; }

 private:
  std::vector<std::int64_t> layers_;
  std::int64_t experts_;
  std::vector<std::int64_t> counts_;
};

}  // namespace granule
