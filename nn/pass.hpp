// What one forward pass carries besides tensors, and who is told about it.
#pragma once
#include <vector>

#include "autograd/recompute.hpp"
#include "core/ops/attention.hpp"
#include "nn/config.hpp"

namespace granule {

enum class LossKind : std::uint8_t { balance, device, z };

/// A training loss that a layer leaves behind, unscaled: a float64 scalar, the mean over `units` units
/// (sequences, micro-batches or tokens, by its kind).
struct LayerLoss {
  LossKind kind;
  std::int64_t layer;
  Var value;
  std::int64_t units;
};

/// What a mixture-of-experts layer chose in a forward pass.
struct RoutingNote {
  std::int64_t layer;
  Tensor count_E;           ///< int64: tokens that chose each expert, before any was dropped
  Tensor dropped_E;         ///< int64: of those, how many each expert's capacity refused
  std::int64_t tokens = 0;  ///< padding not counted
  double entropy = 0.0;     ///< of the tokens' scores, nats, summed over tokens
  Tensor score_NE;          ///< the router's; undefined where it has none
};

/// Told what every router chose: once a forward pass, not again when it is recomputed.
class RoutingObserver {
 public:
  virtual ~RoutingObserver() = default;
  virtual void on_routing(const RoutingNote& note) = 0;
  /// Where the part of the router's weight gradient goes that the balance losses make, to be added to;
  /// undefined: nobody asks.
  [[nodiscard]] virtual Tensor balance_gradient(std::int64_t /*layer*/) { return {}; }
};

enum class Direction : std::uint8_t { forward, backward };

/// Told when a pass enters and leaves a unit (embedding, each block, head): where sharded values are gathered
/// and freed, and gradients reduced. In backward a unit is entered at its end and left at its beginning.
class UnitObserver {
 public:
  virtual ~UnitObserver() = default;
  virtual void enter(std::int64_t unit, Direction direction) = 0;
  virtual void leave(std::int64_t unit, Direction direction) = 0;
};

/// Whether experts drop tokens beyond their capacity: in training, and where an evaluation asks for it.
enum class Capacity : std::uint8_t { unlimited, limited };

struct Pass {
  Context& context;
  std::int64_t batch, seq;
  Tensor position_N;             ///< int32: the place of each token in its row
  std::int64_t rope_length = 0;  ///< length of the sequence that dynamic rope scaling goes by; 0: seq
  Tensor first_key_N{};  ///< int32: the first place of its row that each token sees; undefined: the first
  Tensor token_N{};      ///< int32: the tokens themselves, for routers that go by them
  Tensor valid_N{};      ///< int32: 0 marks padding; undefined: there is none
  Capacity capacity = Capacity::unlimited;
  Recompute recompute = Recompute::none;
  std::vector<LayerLoss>* losses = nullptr;  ///< where layers leave their losses; nullptr: nobody wants them
  RoutingObserver* routing = nullptr;
  UnitObserver* units = nullptr;
  std::vector<KvCache>* caches = nullptr;  ///< one a layer: generation
  Kept* kept = nullptr;                    ///< set while a region runs that may be recomputed
};

/// Marks a unit for the length of a scope, with a tape or without one.
class UnitScope {
 public:
  UnitScope(const Pass& pass, std::int64_t unit);
  ~UnitScope();
  UnitScope(const UnitScope&) = delete;
  UnitScope& operator=(const UnitScope&) = delete;

 private:
  void tell_in_backward(void (UnitObserver::*what)(std::int64_t, Direction)) const;
  UnitObserver* observer_;
  std::int64_t unit_;
};

/// 0, 1, …, seq − 1 for each of `batch` rows, from `first` on.
[[nodiscard]] Tensor make_positions(Context& context, std::int64_t batch, std::int64_t seq,
                                    std::int64_t first = 0);

}  // namespace granule
