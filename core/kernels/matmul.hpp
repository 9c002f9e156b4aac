// The product of two tensors, which is the one GEMM that operators see. On the CPU it is
// core/kernels/gemm.hpp, and on a device it is what the plug-in puts into the slot.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/kernels/gemm.hpp"
#include "core/tensor.hpp"

namespace granule {

/// c_MN = op(a) op(b) + beta c, where op(x) is x or its transpose. The tensors have rank 2 and one dtype, or
/// c has that of its gradients (Precision). Any extent may be 0. `name` is the operator's name in the error
/// message if the shapes do not fit.
void matmul(std::string_view name, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, const Grad& c);

/// The shapes are checked before it is called.
struct MatmulArgs {
  Tensor a;
  Transpose transpose_a;
  Tensor b;
  Transpose transpose_b;
  Grad c;
};
extern KernelSlot<MatmulArgs> matmul_kernel;

}  // namespace granule
