// Copies of tensors on one device, for every dtype.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// The elements of `from` become those of `to`. Counts and dtypes must agree. The two are the same bytes, and
/// then nothing happens, or they do not overlap.
void copy(const Tensor& from, const Tensor& to);

struct CopyArgs {
  Tensor from, to;
};
extern KernelSlot<CopyArgs> copy_kernel;

}  // namespace granule
