// What a training step keeps in memory while it computes one micro-batch, from the configuration alone. It
// walks through the layers of nn/ and moe/ with tensors that have a size and no data (sketch/tape.hpp). If
// you change what a layer or an operator holds, change it here too; a test compares both to the byte.
#pragma once
#include <vector>

#include "core/memory_table.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"

namespace granule {

/// A micro-batch and how it is computed.
struct MicroBatchShape {
  enum class Documents : bool { unmasked, masked };
  /// Where tokens go, the same on every rank: evenly to all experts, or all to those of rank 0, as far as
  /// they have choices.
  enum class Load : bool { uniform, worst };
  /// A layer's experts over ranks, as rank 0 sees them: ExpertPlacement.
  struct Experts {
    std::int64_t ranks = 1;
    std::int64_t receive_limit = 0;
    Load load = Load::uniform;
  };
  std::int64_t batch = 1, seq = 1;
  std::int64_t element_bytes = 4;  ///< of the compute dtype
  std::int64_t threads = 1;        ///< some operators have a piece of scratch for each thread
  Recompute recompute = Recompute::none;
  Documents documents = Documents::unmasked;
  Experts experts{};
};

/// How many of a rank's N tokens go to each expert, within its capacity.
[[nodiscard]] std::vector<std::int64_t> rows_by_expert(const MoeConfig& moe, std::int64_t N,
                                                       MicroBatchShape::Load load);

/// Activations and scratch of train_micro_batch(), as Context::memory() would count them. current() is 0;
/// peak() and peak_total() are what was reached. Where tokens go matters if experts are on several ranks or
/// have a capacity.
[[nodiscard]] MemoryTable sketch_micro_batch(const ModelConfig& model, const MoeConfig& moe,
                                             const MicroBatchShape& shape);

}  // namespace granule
