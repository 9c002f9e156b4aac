// Parameters in and out of tensor files, by their users' names: what checkpoints and Hugging Face directories
// have in common.
#pragma once
#include <vector>

#include "data/models/safetensors_writer.hpp"
#include "data/models/tensor_set.hpp"
#include "nn/parameters.hpp"

namespace granule {

/// Throws a user error for a tensor that is missing, has another shape or is not of numbers, or belongs to no
/// parameter (`source` names where the tensors are from). States may be missing all together: they are zero
/// then. The store need not be materialised.
void check_parameters(const ParameterStore& store, const TensorSet& tensors, const std::string& source);
/// Checks, then fills every parameter and state, converting the dtype.
void load_parameters(ParameterStore& store, const TensorSet& tensors, const std::string& source);

/// Views of every parameter, then of every state, in declaration order; the store must outlive them.
[[nodiscard]] std::vector<TensorToSave> parameters_to_save(const ParameterStore& store);

/// The same for a flat tensor laid out as the store's arena (an optimizer moment), names prefixed.
[[nodiscard]] std::vector<TensorToSave> arena_to_save(const ParameterStore& store, const Tensor& arena,
                                                      const std::string& prefix);
/// Fills such a tensor again.
void load_arena(const ParameterStore& store, const Tensor& arena, const std::string& prefix,
                const TensorSet& tensors);

}  // namespace granule
