// The logical tensors of a job as streams of bytes that arrive at rank 0, whichever ranks hold them. A
// checkpoint is written from them. No rank ever has a second copy of more than one staged piece.
#pragma once
#include <string>
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "distributed/communicators/communicator.hpp"
#include "distributed/zero/arena_part.hpp"

namespace granule {

/// A logical tensor of the whole model, and where its elements are in the arenas of the ranks that hold it.
struct GlobalTensor {
  std::string name;
  Shape shape;
  ParameterGroup group;
  /// Of an expert: the mesh column whose ranks hold it.
  std::int64_t column = 0;
  std::int64_t offset = 0;  ///< where it begins in the arena of these ranks
};

/// A flat quantity of all ranks: this rank's part of it, and how the ranks shard it.
struct GlobalArena {
  Communicator& world;
  const ShardPlan& plan;
  ArenaPart part;
};

/// Tensors whose read() is a collective. Every rank reads the same pieces in the same order, and rank 0
/// receives them. Reading goes through `world`. The arena and the tensors must outlive the result.
[[nodiscard]] std::vector<TensorToSave> gathered(const std::vector<GlobalTensor>& tensors,
                                                 const GlobalArena& arena, const std::string& prefix);

}  // namespace granule
