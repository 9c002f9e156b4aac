// The part of cuBLAS that the plug-in calls, with NVIDIA's own prototypes. Matrices are stored by columns. It
// takes no more combinations of types than the tables of cublasGemmEx in NVIDIA's documentation.
#include <algorithm>
#include <limits>
#include <vector>

#include <cublas_v2.h>
#include <cuda_bf16.h>

#include "tests/cuda_emulation/emulation.hpp"

using cuda_emulation::fail;

struct cublasContext {
  cudaStream_t stream = nullptr;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
};

namespace {

struct Matrix {
  const void* data;
  cudaDataType type;
  std::int64_t rows, columns, leading, stride;
  bool transposed;
};
struct Gemm {
  std::int64_t m, n, k, batch;
  double alpha, beta;
  Matrix a, b, c;
};

std::int64_t size_of(cudaDataType type) {
  return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2;
}

float number(float x) {
  return x;
}
double number(double x) {
  return x;
}
float number(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
template <class T, class Sum>
T stored(Sum sum) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16(sum);
  } else {
    return sum;
  }
}

template <class T>
T* element(const Matrix& x, std::int64_t item, std::int64_t row, std::int64_t column) {
  const std::int64_t at =
      item * x.stride + (x.transposed ? column + row * x.leading : row + column * x.leading);
  return static_cast<T*>(const_cast<void*>(x.data)) + at;
}

/// Sums in the type that is computed in, term by term. A library may add in any order. The result is rounded
/// once.
template <class In, class Out, class Sum>
void multiply(const Gemm& gemm) {
  for (std::int64_t item = 0; item < gemm.batch; ++item) {
    for (std::int64_t column = 0; column < gemm.n; ++column) {
      for (std::int64_t row = 0; row < gemm.m; ++row) {
        Sum sum = 0;
        for (std::int64_t i = 0; i < gemm.k; ++i)
          sum += Sum{number(*element<const In>(gemm.a, item, row, i))} *
                 Sum{number(*element<const In>(gemm.b, item, i, column))};
        sum *= static_cast<Sum>(gemm.alpha);
        Out& to = *element<Out>(gemm.c, item, row, column);
        if (gemm.beta != 0.0) sum += static_cast<Sum>(gemm.beta) * Sum{number(to)};
        to = stored<Out>(sum);
      }
    }
  }
}

void multiply(const Gemm& gemm) {
  if (gemm.a.type == CUDA_R_64F) return multiply<double, double, double>(gemm);
  if (gemm.a.type == CUDA_R_32F) return multiply<float, float, float>(gemm);
  if (gemm.c.type == CUDA_R_32F) return multiply<__nv_bfloat16, float, float>(gemm);
  multiply<__nv_bfloat16, __nv_bfloat16, float>(gemm);
}

/// NVIDIA's table for real numbers, as far as the plug-in's types go.
bool is_documented(cudaDataType a, cudaDataType b, cudaDataType c, cublasComputeType_t compute) {
  if (a != b) return false;
  if (compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC)
    return a == CUDA_R_64F && c == CUDA_R_64F;
  if (compute != CUBLAS_COMPUTE_32F && compute != CUBLAS_COMPUTE_32F_PEDANTIC) return false;
  return (a == CUDA_R_32F && c == CUDA_R_32F) || (a == CUDA_R_16BF && (c == CUDA_R_16BF || c == CUDA_R_32F));
}

bool is_shaped(const Matrix& x) {
  return x.rows >= 0 && x.columns >= 0 &&
         x.leading >= std::max<std::int64_t>(1, x.transposed ? x.columns : x.rows);
}

void require_device(const Matrix& x, std::int64_t batch, const char* name) {
  if (x.rows == 0 || x.columns == 0 || batch == 0) return;
  const std::int64_t rows = x.transposed ? x.columns : x.rows, columns = x.transposed ? x.rows : x.columns;
  const std::int64_t elements = (batch - 1) * x.stride + (columns - 1) * x.leading + rows;
  if (!cuda_emulation::is_on_device(x.data, static_cast<std::size_t>(elements * size_of(x.type))))
    fail(std::string("cuBLAS: matrix ") + name + " is not inside one allocation of the device");
}

/// Whether this handle may compute it.
cublasStatus_t check(const cublasContext& handle, const Gemm& gemm, cublasComputeType_t compute) {
  if (!is_documented(gemm.a.type, gemm.b.type, gemm.c.type, compute)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!is_shaped(gemm.a) || !is_shaped(gemm.b) || !is_shaped(gemm.c) || gemm.batch < 0)
    return CUBLAS_STATUS_INVALID_VALUE;
  if (handle.workspace == nullptr) fail("cuBLAS: a product without an own workspace, which would not repeat");
  const bool sums_are_wide = (handle.math & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) != 0;
  if (gemm.c.type == CUDA_R_16BF && !sums_are_wide) fail("cuBLAS: a product that may add its parts in bf16");
  return CUBLAS_STATUS_SUCCESS;
}

void require_device(const Gemm& gemm) {
  require_device(gemm.a, gemm.batch, "A");
  require_device(gemm.b, gemm.batch, "B");
  require_device(gemm.c, gemm.batch, "C");
}

/// What was in the workspace is lost when a product runs.
void lose_workspace(const cublasContext& handle) {
  constexpr std::size_t kLost = 4096;
  std::memset(handle.workspace, 0xff, std::min(kLost, handle.workspace_bytes));
}

cublasStatus_t start(const cublasContext& handle, const Gemm& gemm, cublasComputeType_t compute) {
  if (const cublasStatus_t status = check(handle, gemm, compute); status != CUBLAS_STATUS_SUCCESS)
    return status;
  require_device(gemm);
  cuda_emulation::submit(handle.stream, {.run =
                                             [gemm, handle] {
                                               lose_workspace(handle);
                                               multiply(gemm);
                                             },
                                         .name = "product"});
  return CUBLAS_STATUS_SUCCESS;
}

/// The three lists of addresses that a group of products reads.
struct Addresses {
  const void* const* a;
  const void* const* b;
  void* const* c;
};

cublasStatus_t start_group(const cublasContext& handle, std::vector<Gemm> all, const Addresses& addresses,
                           cublasComputeType_t compute) {
  for (const Gemm& gemm : all) {
    if (const cublasStatus_t status = check(handle, gemm, compute); status != CUBLAS_STATUS_SUCCESS)
      return status;
  }
  const std::size_t bytes = all.size() * sizeof(void*);
  for (const void* const list : {static_cast<const void*>(addresses.a), static_cast<const void*>(addresses.b),
                                 static_cast<const void*>(addresses.c)}) {
    if (!cuda_emulation::is_on_device(list, bytes))
      fail("cuBLAS: the addresses of a group are not on the device");
  }
  const auto run = [handle, all = std::move(all), addresses]() mutable {
    lose_workspace(handle);
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].a.data = addresses.a[i];
      all[i].b.data = addresses.b[i];
      all[i].c.data = addresses.c[i];
      require_device(all[i]);
      for (const Matrix* matrix : {&all[i].a, &all[i].b, &all[i].c}) {
        constexpr std::int64_t kBytes = 16;
        if (reinterpret_cast<std::uintptr_t>(matrix->data) % kBytes != 0 || 2 * matrix->leading % kBytes != 0)
          fail("cuBLAS: rows of a group are not aligned to 16 bytes");
      }
      multiply(all[i]);
    }
  };
  cuda_emulation::submit(handle.stream, {.run = run, .name = "grouped products"});
  return CUBLAS_STATUS_SUCCESS;
}

/// The i-th of some in the type of the sums.
double scalar(const void* values, cublasComputeType_t compute, std::int64_t i = 0) {
  const bool wide = compute == CUBLAS_COMPUTE_64F || compute == CUBLAS_COMPUTE_64F_PEDANTIC;
  return wide ? static_cast<const double*>(values)[i] : double{static_cast<const float*>(values)[i]};
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
/// It takes the workspace away, as the documentation says.
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  handle->workspace = nullptr;
  handle->workspace_bytes = 0;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  handle->math = mode;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  *mode = handle->math;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, std::size_t bytes) {
  if (!cuda_emulation::is_on_device(workspace, bytes)) fail("cuBLAS: a workspace that is not on the device");
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) return CUBLAS_STATUS_INVALID_VALUE;
  handle->workspace = workspace;
  handle->workspace_bytes = bytes;
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED ? "the requested functionality is not supported"
         : status == CUBLAS_STATUS_INVALID_VALUE
             ? "an unsupported value or parameter was passed to the function"
             : "the operation completed successfully";
}

cublasStatus_t cublasGemmStridedBatchedEx_64(cublasHandle_t handle, cublasOperation_t transa,
                                             cublasOperation_t transb, std::int64_t m, std::int64_t n,
                                             std::int64_t k, const void* alpha, const void* a,
                                             cudaDataType atype, std::int64_t lda, long long stridea,
                                             const void* b, cudaDataType btype, std::int64_t ldb,
                                             long long strideb, const void* beta, void* c, cudaDataType ctype,
                                             std::int64_t ldc, long long stridec, std::int64_t batch,
                                             cublasComputeType_t compute, cublasGemmAlgo_t /*algorithm*/) {
  return start(*handle,
               {m,
                n,
                k,
                batch,
                scalar(alpha, compute),
                scalar(beta, compute),
                {a, atype, m, k, lda, stridea, transa != CUBLAS_OP_N},
                {b, btype, k, n, ldb, strideb, transb != CUBLAS_OP_N},
                {c, ctype, m, n, ldc, stridec, false}},
               compute);
}

/// The addresses are read from the device's memory when the products run, and everything else at the call.
/// Products without elements are refused. So is float64, as by cuBLAS on an H200, and float32, which was
/// not tried there. Rows must begin at multiples of 16 bytes, as our products in groups have them.
cublasStatus_t cublasGemmGroupedBatchedEx_64(
    cublasHandle_t handle, const cublasOperation_t transa[], const cublasOperation_t transb[],
    const std::int64_t m[], const std::int64_t n[], const std::int64_t k[], const void* alpha,
    const void* const a[], cudaDataType atype, const std::int64_t lda[], const void* const b[],
    cudaDataType btype, const std::int64_t ldb[], const void* beta, void* const c[], cudaDataType ctype,
    const std::int64_t ldc[], std::int64_t groups, const std::int64_t sizes[], cublasComputeType_t compute) {
  if (atype != CUDA_R_16BF || ctype != CUDA_R_16BF) return CUBLAS_STATUS_NOT_SUPPORTED;
  std::vector<Gemm> all;
  for (std::int64_t i = 0; i < groups; ++i) {
    if (m[i] <= 0 || n[i] <= 0 || k[i] <= 0) return CUBLAS_STATUS_INVALID_VALUE;
    const Gemm gemm{m[i],
                    n[i],
                    k[i],
                    1,
                    scalar(alpha, compute, i),
                    scalar(beta, compute, i),
                    {nullptr, atype, m[i], k[i], lda[i], 0, transa[i] != CUBLAS_OP_N},
                    {nullptr, btype, k[i], n[i], ldb[i], 0, transb[i] != CUBLAS_OP_N},
                    {nullptr, ctype, m[i], n[i], ldc[i], 0, false}};
    for (std::int64_t j = 0; j < sizes[i]; ++j) all.push_back(gemm);
  }
  return start_group(*handle, std::move(all), {a, b, c}, compute);
}

}  // extern "C"
