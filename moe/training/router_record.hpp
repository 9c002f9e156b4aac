// What every router did in a step: how many tokens each expert got, how decided the router was, and what was
// dropped. Also what these numbers say about the balance.
#pragma once
#include <vector>

#include "core/transfer.hpp"
#include "distributed/communicators/communicator.hpp"
#include "moe/routing/routing_pass.hpp"

namespace granule {

/// Sums of squares of the two parts of a router's gradient, over all or some of its elements.
struct GradientShares {
  double balance = 0.0;  ///< what comes from this layer's own balance, device and z losses
  /// The rest: what comes from the cross-entropy, and through this router from the losses of later layers.
  double ce = 0.0;
  /// The ratio of the norms. It is 0 if there are no balance losses.
  [[nodiscard]] double balance_over_ce() const;
};

/// Statistics about the load of one layer's experts.
struct LoadStatistics {
  double max_over_mean = 0.0;  ///< 1 = balanced
  double cv = 0.0;             ///< coefficient of variation: standard deviation over mean
  std::int64_t dead = 0;       ///< experts without a token
};
[[nodiscard]] LoadStatistics load_statistics(std::span<const std::int64_t> counts);

/// Sums over the micro-batches of a step. They are added up on the device, and whoever asks for one first
/// brings all of them to the host. The index i of a method counts the MoE layers from 0.
class RouterRecord final : public RoutingObserver {
 public:
  RouterRecord(Context& context, std::vector<std::int64_t> layers, std::int64_t experts);
  /// From now on the part of each router's gradient [experts, hidden] that comes from the balance losses is
  /// kept too.
  void measure_balance(DType dtype, std::int64_t hidden);
  void begin_step();
  void on_routing(const RoutingNote& note) override;
  /// By the number of the layer. Empty if the part is not measured.
  [[nodiscard]] std::span<const Tensor> balance_gradients() const { return balance_; }

  /// Sums the balance losses' part of each router's gradient over the ranks of a job. Call it after the last
  /// micro-batch.
  void add_balance_of_ranks(Communicator& ranks);
  /// Measures elements [begin, begin + numel(gradient)) of the flat gradient of router i.
  void measure_shares(std::int64_t i, std::int64_t begin, const Tensor& gradient);
  /// Starts to bring the sums to the host, before anyone asks for them.
  void start_reading() const;
  /// Sums counts and entropies over the ranks of a job.
  void add_ranks(Communicator& ranks);

  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  [[nodiscard]] std::int64_t experts() const { return experts_; }
  /// How many tokens chose each expert of layer i.
  [[nodiscard]] std::span<const std::int64_t> counts(std::int64_t i) const;
  /// The counts of all layers, one layer after the other.
  [[nodiscard]] std::span<const std::int64_t> counts() const;
  /// How many of its tokens each expert's capacity refused.
  [[nodiscard]] std::span<const std::int64_t> dropped(std::int64_t i) const;
  /// Mean over tokens, in nats: log(experts) for a router that knows nothing, 0 for one that is sure.
  [[nodiscard]] double entropy(std::int64_t i) const;
  /// Of what was measured on this rank.
  [[nodiscard]] GradientShares gradient_shares(std::int64_t i) const;

 private:
  /// On the host: choices and refusals of each layer and expert, and of each layer its entropy and shares.
  struct Sums {
    std::vector<std::int64_t> counts, dropped;
    std::vector<double> entropies;
    std::vector<GradientShares> shares;
  };
  [[nodiscard]] std::span<const std::int64_t> of_layer(const std::vector<std::int64_t>& all,
                                                       std::int64_t i) const;
  [[nodiscard]] Sums& sums() const;
  void change();

  std::vector<std::int64_t> layers_;
  std::int64_t experts_;
  Tensor count_2LE_;  // int64: what was chosen, and what was dropped
  Tensor real_3L_;    // float64: entropies, and then the two shares of each layer
  std::vector<std::int64_t> tokens_;
  std::vector<Tensor> balance_;  // by the number of the layer; undefined for dense layers
  mutable HostCopy<std::int64_t> counts_copy_;
  mutable HostCopy<double> reals_copy_;
  mutable Sums sums_;
  mutable bool fresh_ = false;  // sums_ are those of now
};

}  // namespace granule
