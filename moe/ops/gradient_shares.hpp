// The two parts of a router's gradient, by their squares.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/tensor.hpp"

namespace granule {

/// Adds to float64 [2]: Σ b² and Σ (g − b)², where b is the part of a gradient g that comes from the balance
/// losses. b and g have one shape and dtype.
struct GradientSharesArgs {
  Tensor gradient, of_balance;
  Tensor sum_2;
};
extern KernelSlot<GradientSharesArgs> gradient_shares_kernel;

}  // namespace granule
