// The product of two tensors, the one GEMM that operators see: on the CPU core/kernels/gemm.hpp, on a device
// whatever its plug-in puts into the slot.
#pragma once
#include "core/kernel_slot.hpp"
#include "core/kernels/gemm.hpp"
#include "core/tensor.hpp"

namespace granule {

/// c_MN = op(a) op(b) + beta c, where op(x) is x or its transpose; rank 2, one dtype, any extent may be 0.
/// `name` is the operator's, for the message when the shapes do not fit.
void matmul(std::string_view name, const Tensor& a, Transpose transpose_a, const Tensor& b,
            Transpose transpose_b, const Grad& c);

/// Shapes are checked before it is called.
extern KernelSlot<void(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b,
                       const Grad& c)>
    matmul_kernel;

}  // namespace granule
