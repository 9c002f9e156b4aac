#include "core/kernels/gemm.cuh"

namespace granule::gpu {
namespace {

cublasOperation_t operation_of(Transpose transpose) {
  return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

/// A product without terms. cuBLAS need not be asked for it.
template <class T>
void clear(Runtime& runtime, std::int64_t m, std::int64_t n, const MatrixOut<T>& c, const Batch& batch) {
  if (c.beta != 0.0) return;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    GRANULE_GPU_CHECK(cudaMemset2DAsync(c.data + i * batch.c, static_cast<std::size_t>(c.pitch) * sizeof(T),
                                        0, static_cast<std::size_t>(n) * sizeof(T),
                                        static_cast<std::size_t>(m), runtime.stream()));
  }
}

}  // namespace

/// cuBLAS stores matrices by columns, so it is asked for the transpose: Cᵀ = op(B)ᵀ op(A)ᵀ.
template <class T>
void gemm(Runtime& runtime, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<T> c, const Batch& batch) {
  if (m == 0 || n == 0 || batch.count == 0) return;
  if (k == 0) return clear(runtime, m, n, c, batch);
  constexpr bool kWide = std::is_same_v<T, double>;
  constexpr cudaDataType kType = kWide ? CUDA_R_64F : CUDA_R_32F;
  const T one = T(1), beta = static_cast<T>(c.beta);
  check_blas(cublasGemmStridedBatchedEx_64(
                 runtime.blas(), operation_of(b.transpose), operation_of(a.transpose), n, m, k, &one, b.data,
                 kType, b.pitch, batch.b, a.data, kType, a.pitch, batch.a, &beta, c.data, kType, c.pitch,
                 batch.c, batch.count, kWide ? CUBLAS_COMPUTE_64F_PEDANTIC : CUBLAS_COMPUTE_32F_PEDANTIC,
                 CUBLAS_GEMM_DEFAULT),
             "cublasGemmStridedBatchedEx");
}

template void gemm(Runtime&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                   MatrixOut<float>, const Batch&);
template void gemm(Runtime&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                   MatrixOut<double>, const Batch&);

}  // namespace granule::gpu
