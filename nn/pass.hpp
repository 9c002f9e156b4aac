// What one forward pass carries besides tensors, and who is told about it.
#pragma once
#include <vector>

#include "autograd/recompute.hpp"
#include "core/ops/attention.hpp"
#include "nn/config.hpp"

namespace granule {

enum class LossKind : std::uint8_t { balance, device, z };

/// A training loss of one layer, not scaled yet. It is a float64 scalar, the mean over `units` units:
/// sequences, micro-batches or tokens, depending on its kind.
struct LayerLoss {
  LossKind kind;
  std::int64_t layer;
  Var value;
  std::int64_t units;
};

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
  /// The part of the gradient of the router's weight that comes from the balance losses is added to this
  /// tensor. It is undefined if nobody wants it.
  [[nodiscard]] virtual Tensor balance_gradient(std::int64_t /*layer*/) { return {}; }
};

enum class Direction : std::uint8_t { forward, backward };

/// Is told when a pass enters and leaves a unit (embedding, each block, head). Sharded values are gathered
/// and freed then, and gradients reduced. Backward enters a unit at its end and leaves it at its beginning.
class UnitObserver {
 public:
  virtual ~UnitObserver() = default;
  virtual void enter(std::int64_t unit, Direction direction) = 0;
  virtual void leave(std::int64_t unit, Direction direction) = 0;
};

/// Whether experts drop tokens beyond their capacity. They do in training, and in an evaluation that asks for
/// it.
enum class Capacity : std::uint8_t { unlimited, limited };

struct Pass {
  Context& context;
  std::int64_t batch, seq;
  Tensor position_N;             ///< int32: the position of each token in its row
  std::int64_t rope_length = 0;  ///< length of the sequence for dynamic rope scaling; 0: seq
  /// int32: the first position of its row that each token sees. If undefined, a token sees its row from the
  /// beginning.
  Tensor first_key_N{};
  Tensor token_N{};          ///< int32: the tokens themselves, for routers that need them
  Tensor valid_N{};          ///< int32: 0 marks padding; undefined: there is none
  std::int64_t padding = 0;  ///< how many rows are padding
  Capacity capacity = Capacity::unlimited;
  Recompute recompute = Recompute::none;
  std::vector<LayerLoss>* losses = nullptr;  ///< where layers put their losses; nullptr: nobody wants them
  RoutingObserver* routing = nullptr;
  UnitObserver* units = nullptr;
  std::vector<KvCache>* caches = nullptr;  ///< one for each layer, in generation
  Kept* kept = nullptr;                    ///< set while a region runs that may be recomputed

  /// Rows that are not padding.
  [[nodiscard]] std::int64_t tokens() const { return batch * seq - padding; }
};

/// Marks a unit for the length of a scope, with or without a tape.
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

/// The numbers first, first + 1, …, first + seq − 1 for each of `batch` rows.
[[nodiscard]] Tensor make_positions(Context& context, std::int64_t batch, std::int64_t seq,
                                    std::int64_t first = 0);

}  // namespace granule
