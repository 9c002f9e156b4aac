// What every router did in a step: how many tokens each expert got, how decided it was, what was dropped, and
// what the numbers say about the balance.
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

/// Sums over the micro-batches of a step.
class RouterRecord final : public RoutingObserver {
 public:
  RouterRecord(std::vector<std::int64_t> layers, std::int64_t experts);
  /// From now on the balance losses' part of each router's gradient [experts, hidden] is kept too.
  void measure_balance(Context& context, DType dtype, std::int64_t hidden);
  void begin_step();
  void on_routing(const RoutingNote& note) override;
  [[nodiscard]] Tensor balance_gradient(std::int64_t layer) override;

  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  [[nodiscard]] std::int64_t experts() const { return experts_; }
  /// Of the i-th mixture-of-experts layer, as all below.
  [[nodiscard]] std::span<const std::int64_t> counts(std::int64_t i) const;
  /// All layers, one after the other.
  [[nodiscard]] std::span<const std::int64_t> counts() const { return counts_; }
  [[nodiscard]] std::int64_t dropped(std::int64_t i) const { return rows_[std::size_t(i)].dropped; }
  /// Mean over tokens, nats: log(experts) of a router that knows nothing, 0 of one that is sure.
  [[nodiscard]] double entropy(std::int64_t i) const;
  /// The norm of the balance losses' gradient on the router's weights over that of the cross-entropy's,
  /// given the sum of both. 0 where there are no balance losses.
  [[nodiscard]] double balance_over_ce(std::int64_t i, const Tensor& gradient_ED) const;

 private:
  struct Row {
    std::int64_t tokens = 0, dropped = 0;
    double entropy = 0.0;
  };
  [[nodiscard]] std::size_t index_of(std::int64_t layer) const;

  std::vector<std::int64_t> layers_;
  std::int64_t experts_;
  std::vector<std::int64_t> counts_;
  std::vector<Row> rows_;
  std::vector<Tensor> balance_;  // empty: not measured
};

}  // namespace granule
