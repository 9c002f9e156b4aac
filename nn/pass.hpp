// What one forward pass carries besides tensors, and who is told about it.
#pragma once
#include <any>
#include <vector>

#include "autograd/recompute.hpp"
#include "core/ops/cached_attention.hpp"
#include "nn/config.hpp"

namespace granule {

/// What a layer computes besides its output, such as a loss: a float64 scalar from which backward can begin.
struct SideOutput {
  Var value;
  std::any what;  ///< tells whoever reads it what it is; nn only hands it on
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

struct Pass {
  Context& context;
  std::int64_t batch, seq;
  Tensor position_N;             ///< int32: the position of each token in its row
  std::int64_t rope_length = 0;  ///< length of the sequence for dynamic rope scaling; 0: seq
  /// int32: the first position of its row that each token sees. If undefined, a token sees its row from the
  /// beginning.
  Tensor first_key_N{};
  Tensor token_N{};          ///< int32: the tokens themselves, for layers that need them
  Tensor valid_N{};          ///< int32: 0 marks padding; undefined: there is none
  std::int64_t padding = 0;  ///< how many rows are padding
  Recompute recompute = Recompute::none;
  std::vector<SideOutput>* side_outputs = nullptr;  ///< where layers put them; nullptr: nobody wants them
  /// What the layers of a model find in the pass that nn knows nothing of.
  std::any extension{};
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
  void mark_for_backward(void (UnitObserver::*what)(std::int64_t, Direction)) const;
  UnitObserver* observer_;
  std::int64_t unit_;
};

/// The numbers first, first + 1, …, first + seq − 1 for each of `batch` rows.
[[nodiscard]] Tensor make_positions(Context& context, std::int64_t batch, std::int64_t seq,
                                    std::int64_t first = 0);

}  // namespace granule
