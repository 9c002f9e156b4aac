// The logical tensors of a job, whoever holds them, as streams of bytes that arrive at rank 0: what a
// checkpoint is written from. No rank ever has a second copy of anything but one staged piece.
#pragma once
#include <string>
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "distributed/communicators/communicator.hpp"
#include "distributed/zero/arena_part.hpp"

namespace granule {

/// A logical tensor of the whole model, and where its elements are in the arenas of those that hold it.
struct GlobalTensor {
  std::string name;
  Shape shape;
  ParameterGroup group;
  std::int64_t column = 0;  ///< of an expert: the mesh column whose ranks hold it
  std::int64_t offset = 0;  ///< in their arena
};

/// A flat quantity of all ranks: this rank's share of it, and how the ranks share it.
struct GlobalArena {
  Communicator& world;
  const ShardPlan& plan;
  ArenaPart part;
};

/// Tensors whose read() is a collective: every rank reads the same pieces in the same order, and rank 0
/// receives them. Reading ends in `world`; the arena and the tensors must outlive the result.
[[nodiscard]] std::vector<TensorToSave> gathered(const std::vector<GlobalTensor>& tensors,
                                                 const GlobalArena& arena, const std::string& prefix);

}  // namespace granule
