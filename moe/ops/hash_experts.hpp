// The choice of experts by a token's id alone (Hash Layers, Roller et al. 2021).
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// K distinct experts for each token, a function of its id and the seed. token_N and id_NK are int32.
[[nodiscard]] Tensor hash_experts(const Tensor& token_N, std::int64_t experts, std::int64_t k,
                                  std::int64_t seed);

struct HashExpertsArgs {
  Tensor token_N;
  std::int64_t experts, seed;
  Tensor id_NK;
};
extern KernelSlot<HashExpertsArgs> hash_experts_kernel;

}  // namespace granule
