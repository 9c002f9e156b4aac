// Setting every element of a tensor to one value.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// All bits zero, for every dtype.
void fill_zero(const Tensor& tensor);
/// f32, f64 and bf16.
void fill(const Tensor& tensor, double value);

struct FillArgs {
  Tensor y;
  double value;  ///< 0 for a dtype that is not computed in
};
extern KernelSlot<FillArgs> fill_kernel;

}  // namespace granule
