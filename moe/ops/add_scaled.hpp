// Adds a loss to a sum of losses.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// sum += factor · value. Both are float64 [1].
struct AddScaledArgs {
  Tensor value;
  double factor;
  Tensor sum;
};
extern KernelSlot<AddScaledArgs> add_scaled_kernel;

}  // namespace granule
