// Matrix products by cuBLAS, for row-major matrices as in core/kernels/gemm.hpp.
#pragma once
#include "core/gpu/runtime.cuh"
#include "core/kernels/gemm.hpp"

namespace granule::gpu {

[[nodiscard]] inline cublasOperation_t operation_of(Transpose transpose) {
  return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}
template <class T>
inline constexpr cudaDataType kTypeOf = std::is_same_v<T, double>  ? CUDA_R_64F
                                        : std::is_same_v<T, float> ? CUDA_R_32F
                                                                   : CUDA_R_16BF;
/// Pedantic products of float32 use no TF32. Those of bf16 are exact in float32, in which they are added.
template <class T>
inline constexpr cublasComputeType_t kComputedIn = std::is_same_v<T, double>  ? CUBLAS_COMPUTE_64F_PEDANTIC
                                                   : std::is_same_v<T, float> ? CUBLAS_COMPUTE_32F_PEDANTIC
                                                                              : CUBLAS_COMPUTE_32F;

/// Several products of one shape, whose matrices are so many elements apart. A distance may be 0 for a and b.
struct Batch {
  std::int64_t count = 1;
  std::int64_t a = 0, b = 0, c = 0;
};

/// C[m,n] = A[m,k] B[k,n] + beta C. Any extent may be 0. T is float, double or bf16. Out is T, or float for
/// bf16: sums are float then, and rounded only if C is stored in bf16.
template <class T, class Out = T>
void gemm(Lane& lane, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<Out> c, const Batch& batch = {});
template <class T, class Out = T>
void gemm(Runtime& runtime, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<Out> c, const Batch& batch = {}) {
  gemm<T, Out>(runtime.lane(), m, n, k, a, b, c, batch);
}

}  // namespace granule::gpu
