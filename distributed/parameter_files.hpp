// Parameters in and out of tensor files, by their users' names: what checkpoints and Hugging Face directories
// have in common.
#pragma once
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "data/models/tensor_set.hpp"
#include "distributed/zero/arena_part.hpp"
#include "nn/parameters.hpp"

namespace granule {

/// Throws a user error for a tensor that is missing, has another shape or is not of numbers, or belongs to no
/// parameter (`source` names where the tensors are from). States may be missing all together: they are zero
/// then. The store need not be materialised.
void check_parameters(const ParameterStore& store, const TensorSet& tensors, const std::string& source);
/// Checks, then fills every parameter and state, converting the dtype.
void load_parameters(ParameterStore& store, const TensorSet& tensors, const std::string& source);

/// Fills what a rank has of a flat quantity laid out as the parameters (values, a moment), names prefixed.
void load_part(const ParameterStore& store, const ShardPlan& plan, const ArenaPart& part,
               const std::string& prefix, const TensorSet& tensors);
/// Fills the states; zero where the files have none of them.
void load_states(const ParameterStore& store, const TensorSet& tensors);

/// Views of every state; the store must outlive them.
[[nodiscard]] std::vector<TensorToSave> states_to_save(const ParameterStore& store);

}  // namespace granule
