// What every router did in a step: how many tokens each expert got, how decided it was, what was dropped, and
// what the numbers say about the balance.
#pragma once
#include <vector>

#include "distributed/communicators/communicator.hpp"
#include "nn/pass.hpp"

namespace granule {

/// Sums of squares of the two parts of a router's gradient, over all or some of its elements.
struct GradientShares {
  double balance = 0.0;  ///< what this layer's own balance, device and z losses make of it
  double ce = 0.0;  ///< the rest: the cross-entropy's, and what later layers' losses send back through here
  /// The ratio of the norms; 0 where there are no balance losses.
  [[nodiscard]] double balance_over_ce() const;
};

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
  /// Of the counts, what each expert's capacity refused.
  [[nodiscard]] std::span<const std::int64_t> dropped(std::int64_t i) const;
  /// Mean over tokens, nats: log(experts) of a router that knows nothing, 0 of one that is sure.
  [[nodiscard]] double entropy(std::int64_t i) const;
  /// Given elements [begin, begin + numel(gradient)) of the flat gradient of the router's weights.
  [[nodiscard]] GradientShares gradient_shares(std::int64_t i, std::int64_t begin,
                                               const Tensor& gradient) const;
  /// Sums everything over the ranks of a job, after the last micro-batch.
  void add_ranks(Communicator& ranks);

 private:
  struct Row {
    std::int64_t tokens = 0;
    double entropy = 0.0;
  };
  [[nodiscard]] std::size_t index_of(std::int64_t layer) const;

  std::vector<std::int64_t> layers_;
  std::int64_t experts_;
  std::vector<std::int64_t> counts_, dropped_;
  std::vector<Row> rows_;
  std::vector<Tensor> balance_;  // empty: not measured
};

}  // namespace granule
