// The limit on how many tokens an expert takes.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// The choices that are carried out, with −1 for the others. An expert takes its `capacity` most affine
/// tokens, the earlier of equal ones, and drops the rest. Rows that are not valid are not carried out and use
/// no capacity. affinity_NE has the router's scores, and NaN is the lowest. If it is undefined, all are equal
/// (a hash router's). valid_N: see moe/ops/valid_tokens.hpp.
[[nodiscard]] Tensor within_capacity(const Tensor& id_NK, const Tensor& affinity_NE, std::int64_t experts,
                                     std::int64_t capacity, const Tensor& valid_N = {});

struct LimitCapacityArgs {
  Tensor id_NK, affinity_NE, valid_N;
  std::int64_t experts, capacity;
  Tensor sent_NK;
};
extern KernelSlot<LimitCapacityArgs> limit_capacity_kernel;

}  // namespace granule
