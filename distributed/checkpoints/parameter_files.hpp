// Reads and writes parameters in tensor files, by the names that users know. Checkpoints and Hugging Face
// directories share it.
#pragma once
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "data/models/tensor_set.hpp"
#include "distributed/zero/arena_part.hpp"
#include "nn/parameters.hpp"

namespace granule {

/// Throws a user error for a tensor that is missing, has another shape, is not of numbers, or belongs to no
/// parameter. `source` names where the tensors are from. Either all states are missing, and then they are
/// zero, or none. The store need not be materialised.
void check_parameters(const ParameterStore& store, const TensorSet& tensors, const std::string& source);
/// Checks, then fills every parameter and state. It converts the dtype.
void load_parameters(ParameterStore& store, const TensorSet& tensors, const std::string& source);

/// Fills a rank's part of a flat quantity with the layout of the parameters (values, a moment). The names
/// have a prefix. Tensors that the part does not have are not read.
void load_part(const ParameterStore& store, const ShardPlan& plan, const ArenaPart& part,
               const std::string& prefix, const TensorSet& tensors);
/// Fills the states, with zero if the files have none of them.
void load_states(const ParameterStore& store, const TensorSet& tensors);

/// Every state, read when it is saved.
[[nodiscard]] std::vector<TensorToSave> states_to_save(const ParameterStore& store);

}  // namespace granule
