// What a training step keeps in memory while it computes one micro-batch, from the configuration alone: the
// layers of nn/ and moe/ walked through in tensors that have a size and no data (sketch/tape.hpp). Whoever
// changes what a layer or an operator holds changes it here too; a test compares both to the byte.
#pragma once
#include "core/memory_table.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"

namespace granule {

/// A micro-batch and how it is computed.
struct MicroBatchShape {
  enum class Documents : bool { unmasked, masked };
  std::int64_t batch = 1, seq = 1;
  std::int64_t element_bytes = 4;  ///< of the compute dtype
  std::int64_t threads = 1;        ///< scratch of some operators is one piece a thread
  Recompute recompute = Recompute::none;
  Documents documents = Documents::unmasked;
};

/// Activations and scratch of train_micro_batch(), as Context::memory() would count them: current() is 0,
/// peak() and peak_total() what was reached. Dropless, no tensor depends on where tokens go; with a capacity,
/// these are the most.
[[nodiscard]] MemoryTable sketch_micro_batch(const ModelConfig& model, const MoeConfig& moe,
                                             const MicroBatchShape& shape);

}  // namespace granule
