// The logical tensors of a job as streams of bytes that arrive at rank 0, whichever ranks hold them. A
// checkpoint is written from them. No rank ever has a second copy of more than one staged piece.
#pragma once
#include <string>
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "distributed/zero/sharded_parameters.hpp"

namespace granule {

/// A logical tensor of the whole model, at its offset in the arenas of the ranks that hold it.
struct GlobalTensor {
  LogicalTensor tensor;
  std::int64_t column = 0;  ///< of an expert: the mesh column whose ranks hold it
};

/// Tensors whose read() is a collective, without those that the part does not have. Every rank reads the same
/// pieces in the same order, and rank 0 receives them. `part` is this rank's part of a flat quantity of all
/// ranks, such as a moment. The parameters must outlive the result.
[[nodiscard]] std::vector<TensorToSave> gathered(const ShardedParameters& parameters, const ArenaPart& part,
                                                 const std::vector<GlobalTensor>& tensors,
                                                 const std::string& prefix);

/// The values of the tensors as exactly as they are stored: from the masters where there are any.
[[nodiscard]] std::vector<TensorToSave> gathered_values(const ShardedParameters& parameters,
                                                        const std::vector<GlobalTensor>& tensors);

}  // namespace granule
