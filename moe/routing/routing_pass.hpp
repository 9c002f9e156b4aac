// What routers find in a forward pass and what they leave there, besides what every layer knows
// (nn/pass.hpp).
#pragma once
#include <span>

#include "nn/pass.hpp"

namespace granule {

/// Whether experts drop tokens beyond their capacity. They do in training, and in an evaluation that asks for
/// it.
enum class Capacity : std::uint8_t { unlimited, limited };

/// What an MoE layer chose in a forward pass.
struct RoutingNote {
  std::int64_t layer;
  Tensor count_E;           ///< int64: tokens that chose each expert, before any was dropped
  Tensor dropped_E;         ///< int64: tokens that each expert's capacity refused
  std::int64_t tokens = 0;  ///< without padding
  /// float64 [1]: of the tokens' scores, in nats, summed over tokens. Undefined without scores.
  Tensor entropy;
  Tensor score_NE;  ///< the router's; undefined if it has none
};

/// Is told what every router chose: once in each forward pass, and not again when it is recomputed.
class RoutingObserver {
 public:
  virtual ~RoutingObserver() = default;
  virtual void on_routing(const RoutingNote& note) = 0;
};

/// Which experts the tokens of a forward pass chose in an MoE layer, and the weights of these experts'
/// outputs.
struct ChoiceNote {
  std::int64_t layer;
  Tensor id_NK;      ///< int32, before any choice was dropped
  Tensor weight_NK;  ///< of the compute dtype
};

/// Is told token by token what an evaluation's routers chose.
class ChoiceObserver {
 public:
  virtual ~ChoiceObserver() = default;
  virtual void on_choice(const ChoiceNote& note) = 0;
};

/// Whether the shared experts of an MoE layer take part.
enum class SharedExperts : std::uint8_t { used, left_out };

/// The experts that an evaluation does without, to see what they do for the model. Training leaves out none.
struct Ablation {
  /// How many routed experts each token cannot choose. They are those of its highest scores in the layer.
  std::int64_t masked_experts = 0;
  SharedExperts shared = SharedExperts::used;
};

/// The extension of a Pass through MoE layers.
struct RoutingPass {
  Capacity capacity = Capacity::unlimited;
  Ablation ablation{};
  RoutingObserver* observer = nullptr;
  ChoiceObserver* choices = nullptr;
  /// By the number of the layer. The part of the gradient of its router's weight that comes from the balance
  /// losses is added to its tensor. Empty if nobody wants it.
  std::span<const Tensor> balance_gradients{};

  [[nodiscard]] Tensor balance_gradient(std::int64_t layer) const;
};

/// The extension of this pass. If it has none, nothing of a RoutingPass is set.
[[nodiscard]] RoutingPass routing_of(const Pass& pass);

enum class LossKind : std::uint8_t { balance, device, z };

/// What a side output of an MoE layer is: a training loss of this layer, not scaled yet. It is the mean over
/// `units` units: sequences, micro-batches or tokens, depending on its kind.
struct LayerLoss {
  LossKind kind;
  std::int64_t layer;
  std::int64_t units;
};

/// Which loss this is. All side outputs of a model's layers are losses.
[[nodiscard]] const LayerLoss& loss_of(const SideOutput& output);

/// Returns make(), or, when the layer is recomputed, what it returned before.
template <class Make>
auto once_per_pass(const Pass& pass, const Make& make) {
  return pass.kept != nullptr ? pass.kept->once(make) : make();
}

}  // namespace granule
