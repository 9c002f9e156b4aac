// The sum of a tensor and what is already at its destination.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// Computes destination = source + beta · destination, element by element, for f32, f64 and i64. Shapes and
/// dtypes must agree. With beta 0 it copies.
void accumulate(const Tensor& source, const Grad& destination);

struct AccumulateArgs {
  Tensor source;
  Grad destination;
};
extern KernelSlot<AccumulateArgs> accumulate_kernel;

}  // namespace granule
