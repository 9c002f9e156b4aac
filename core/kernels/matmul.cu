#include <memory>

#include <cublas_v2.h>

#include "core/gpu.hpp"
#include "core/kernels/matmul.hpp"

namespace granule {
namespace {

void check(cublasStatus_t status, const char* what) {
  GRANULE_CHECK(status == CUBLAS_STATUS_SUCCESS, "CUDA: {}: {}", what, cublasGetStatusString(status));
}

/// Each rank has its own handle and stream, because a handle serves one thread. Products of float32 stay
/// float32, whatever the tensor cores offer.
cublasHandle_t handle() {
  struct Destroy {
    void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
  };
  thread_local const auto owned = [] {
    cublasHandle_t created = nullptr;
    check(cublasCreate(&created), "cublasCreate");
    std::unique_ptr<cublasContext, Destroy> result(created);
    check(cublasSetStream(created, gpu::stream()), "cublasSetStream");
    check(cublasSetMathMode(created, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
    return result;
  }();
  return owned.get();
}

cublasOperation_t operation_of(Transpose transpose) {
  return transpose == Transpose::yes ? CUBLAS_OP_T : CUBLAS_OP_N;
}

/// cuBLAS stores matrices by columns, so it is asked for the transpose: Cᵀ = op(B)ᵀ op(A)ᵀ.
template <class T>
void product(const Tensor& a, Transpose transpose_a, const Tensor& b, Transpose transpose_b, const Grad& c) {
  const std::int64_t m = c.dst.shape()[0], n = c.dst.shape()[1];
  const std::int64_t k = a.shape()[transpose_a == Transpose::yes ? 0 : 1];
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (c.beta == 0.0) {
      const auto bytes = static_cast<std::size_t>(c.dst.bytes());
      GRANULE_GPU_CHECK(cudaMemsetAsync(c.dst.raw(), 0, bytes, gpu::stream()));
    }
    return;
  }
  const auto gemm = [] {
    if constexpr (std::is_same_v<T, float>)
      return cublasSgemm_64;
    else
      return cublasDgemm_64;
  }();
  const T one = T(1), beta = static_cast<T>(c.beta);
  check(gemm(handle(), operation_of(transpose_b), operation_of(transpose_a), n, m, k, &one, b.data<const T>(),
             b.shape()[1], a.data<const T>(), a.shape()[1], &beta, c.dst.data<T>(), n),
        "gemm");
}

void matmul_cuda(const MatmulArgs& args) {
  dispatch_float(args.a.dtype(),
                 [&]<class T>() { product<T>(args.a, args.transpose_a, args.b, args.transpose_b, args.c); });
}

const gpu::Kernels kernels([] {
  matmul_kernel.fill(DeviceType::cuda, matmul_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
