// The logical tensors of a job as streams of bytes that arrive at rank 0, whichever ranks hold them. A
// checkpoint is written from them. No rank ever has a second copy of more than one staged piece.
#pragma once
#include <string>
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "distributed/communicators/communicator.hpp"
#include "distributed/zero/arena_part.hpp"

namespace granule {

/// A logical tensor of the whole model, at its offset in the arenas of the ranks that hold it.
struct GlobalTensor {
  LogicalTensor tensor;
  std::int64_t column = 0;  ///< of an expert: the mesh column whose ranks hold it
};

/// A flat quantity of all ranks: this rank's part of it, and how the ranks shard it.
struct GlobalArena {
  Communicator& world;
  const ShardPlan& plan;
  ArenaPart part;
};

/// Tensors whose read() is a collective, without those that the arena does not have. Every rank reads the
/// same pieces in the same order, and rank 0 receives them. Reading goes through `world`. The arena and the
/// tensors must outlive the result.
[[nodiscard]] std::vector<TensorToSave> gathered(const std::vector<GlobalTensor>& tensors,
                                                 const GlobalArena& arena, const std::string& prefix);

}  // namespace granule
