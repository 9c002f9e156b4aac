// The losses of a step. They are added up on the device, micro-batch by micro-batch, and read once.
#pragma once
#include <array>
#include <vector>

#include "distributed/communicators/communicator.hpp"
#include "moe/config.hpp"
#include "moe/routing/routing_pass.hpp"

namespace granule {

/// A step's reported losses. All are unscaled, and the vectors have the MoE layers in order. A vector is
/// empty if the layers have no such loss.
struct LossReport {
  double ce = 0.0;                            ///< Σ CE / target_tokens
  std::vector<double> aux_by_layer{};         ///< mean over units of L; 1 = balanced
  std::vector<double> device_aux_by_layer{};  ///< mean over sequences of L_dev
  std::vector<double> z_by_layer{};           ///< mean over tokens of z
  std::vector<double> alpha_by_layer{};       ///< the weight of L: aux_loss_alpha for a whole step
  void add_ranks(Communicator& ranks);        ///< sums over the ranks of a job
  [[nodiscard]] double aux() const;           ///< mean over MoE layers; 0 without any
  [[nodiscard]] double device_aux() const;    ///< mean over MoE layers; 0 without any
  [[nodiscard]] double z() const;             ///< sum over MoE layers
};

class LossRecord {
 public:
  /// `layers` are the numbers of the MoE layers.
  LossRecord(Context& context, const MoeConfig& moe, std::vector<std::int64_t> layers);
  void begin_step();
  /// Each adds `factor` times a loss, which is float64 [1].
  void add_cross_entropy(const Tensor& loss, double factor);
  void add(const LayerLoss& loss, const Tensor& value, double factor);
  /// `weight` is that of the balance loss in the objective.
  void add_alpha(std::int64_t layer, double weight);

  /// Waits for the device.
  [[nodiscard]] LossReport report();

 private:
  [[nodiscard]] std::int64_t place(LossKind kind, std::size_t layer) const;

  std::vector<std::int64_t> layers_;
  std::array<bool, 3> has_{};  // the losses of these kinds
  Tensor sums_;                // float64: the cross-entropy, and then the layers of each kind
  std::vector<double> alphas_;
};

}  // namespace granule
