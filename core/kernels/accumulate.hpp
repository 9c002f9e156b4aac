// The sum of a tensor and what is already at its destination. With beta 0 it is the copy that also converts
// between bf16 and f32.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// Computes destination = source + beta · destination, element by element, for f32, f64 and i64. Both have
/// one dtype, or one is bf16 and the other f32. Sums are computed in f32 and rounded once.
void accumulate(const Tensor& source, const Grad& destination);

/// The tensor itself, or a copy in f32 if it is stored in bf16.
[[nodiscard]] Tensor widened(const Tensor& x, MemoryCategory category = MemoryCategory::scratch);

struct AccumulateArgs {
  Tensor source;
  Grad destination;
};
extern KernelSlot<AccumulateArgs> accumulate_kernel;

}  // namespace granule
