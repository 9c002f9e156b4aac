#include "core/kernels/gemm.cuh"

namespace granule::gpu {
namespace {

/// A product without terms. cuBLAS need not be asked for it.
template <class T>
void clear(Lane& lane, std::int64_t m, std::int64_t n, const MatrixOut<T>& c, const Batch& batch) {
  if (c.beta != 0.0) return;
  for (std::int64_t i = 0; i < batch.count; ++i) {
    GRANULE_GPU_CHECK(cudaMemset2DAsync(c.data + i * batch.c, static_cast<std::size_t>(c.pitch) * sizeof(T),
                                        0, static_cast<std::size_t>(n) * sizeof(T),
                                        static_cast<std::size_t>(m), lane.stream()));
  }
}

}  // namespace

/// cuBLAS stores matrices by columns, so it is asked for the transpose: Cᵀ = op(B)ᵀ op(A)ᵀ.
template <class T, class Out>
void gemm(Lane& lane, std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<T> a, MatrixIn<T> b,
          MatrixOut<Out> c, const Batch& batch) {
  if (m == 0 || n == 0 || batch.count == 0) return;
  if (k == 0) return clear(lane, m, n, c, batch);
  const Wide<T> one = Wide<T>(1), beta = static_cast<Wide<T>>(c.beta);
  check_blas(cublasGemmStridedBatchedEx_64(lane.blas(), operation_of(b.transpose), operation_of(a.transpose),
                                           n, m, k, &one, b.data, kTypeOf<T>, b.pitch, batch.b, a.data,
                                           kTypeOf<T>, a.pitch, batch.a, &beta, c.data, kTypeOf<Out>, c.pitch,
                                           batch.c, batch.count, kComputedIn<T>, CUBLAS_GEMM_DEFAULT),
             "cublasGemmStridedBatchedEx");
}

template void gemm(Lane&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<float>, MatrixIn<float>,
                   MatrixOut<float>, const Batch&);
template void gemm(Lane&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<double>, MatrixIn<double>,
                   MatrixOut<double>, const Batch&);
template void gemm(Lane&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                   MatrixOut<bf16>, const Batch&);
template void gemm(Lane&, std::int64_t, std::int64_t, std::int64_t, MatrixIn<bf16>, MatrixIn<bf16>,
                   MatrixOut<float>, const Batch&);

}  // namespace granule::gpu
