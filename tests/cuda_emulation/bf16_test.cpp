// bf16 below the kernels: how it is rounded, and how cuBLAS multiplies it.
#include <cmath>

#include <cuda_bf16.h>

#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"

using namespace granule;
using cuda_emulation::Buffer;
using cuda_emulation::Stream;

namespace {

/// The upper half of these bits has every pattern, and the lower half is at and around the middle.
template <class Body>
void for_each_number(const Body& body) {
  for (std::uint32_t upper = 0; upper < 0x10000U; ++upper) {
    for (const std::uint32_t lower : {0U, 1U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU})
      body(std::bit_cast<float>(upper << 16U | lower));
  }
}

__global__ void round_packs(const float* from, bf16* to) {
  const std::int64_t i = gpu::thread_index();
  gpu::store_rounded(to, i, gpu::load<8>(from, i));
}
__global__ void widen_packs(const bf16* from, float* to) {
  const std::int64_t i = gpu::thread_index();
  gpu::store(to, i, gpu::load_wide<8>(from, i));
}

/// C = A B for A[1, k] and B[k, 1], by a handle that may add in bf16 or may not.
template <class C>
cublasStatus_t multiply(cublasHandle_t handle, const Buffer<bf16>& a, const Buffer<bf16>& b, int k,
                        float beta, const Buffer<C>& c, cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
  const float one = 1.0F;
  const cudaDataType type = std::is_same_v<C, float>    ? CUDA_R_32F
                            : std::is_same_v<C, double> ? CUDA_R_64F
                                                        : CUDA_R_16BF;
  return cublasGemmStridedBatchedEx_64(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, k, &one, a.data(), CUDA_R_16BF,
                                       1, 0, b.data(), CUDA_R_16BF, k, 0, &beta, c.data(), type, 1, 0, 1,
                                       compute, CUBLAS_GEMM_DEFAULT);
}

}  // namespace

TEST_CASE("bf16 in kernels: NVIDIA's own rounding gives the bits of bf16(float)") {
  std::size_t differ = 0;
  for_each_number([&](float number) {
    const __nv_bfloat16_raw theirs = __float2bfloat16_rn(number);
    const bf16 ours(number);
    // NVIDIA has one NaN, and ours keep their sign and digits.
    differ += std::isnan(number) ? (theirs.x == 0x7FFF && std::isnan(widened(ours)) ? 0 : 1)
                                 : (theirs.x == ours.bits ? 0 : 1);
  });
  CHECK(differ == 0);
}

TEST_CASE("bf16 in kernels: packs are rounded and widened element by element, in their order") {
  std::vector<float> numbers;
  for_each_number([&](float number) {
    if (!std::isnan(number)) numbers.push_back(number);
  });
  numbers.resize(numbers.size() / 2048 * 2048);
  const Stream stream;
  const Buffer<float> from(stream, numbers), back(numbers.size());
  const Buffer<bf16> narrow(numbers.size());
  const gpu::LaunchShape shape = gpu::one_thread_each(std::ssize(numbers) / 8);
  gpu::launch(stream, round_packs, shape, from.data(), narrow.data());
  gpu::launch(stream, widen_packs, shape, narrow.data(), back.data());
  std::vector<float> expected;
  for (const float number : numbers) expected.push_back(widened(bf16(number)));
  CHECK(back.values(stream) == expected);
}

TEST_CASE("bf16 in kernels: products add in float32 and are rounded once") {
  gpu::Runtime runtime(0);
  const Stream stream;
  // Between 256 and 512, bf16 has every second integer. A sum in bf16 would stay at 256.
  std::vector<bf16> terms(12, bf16(1.0F));
  terms[0] = bf16(256.0F);
  const Buffer<bf16> a(stream, terms), b(stream, std::vector<bf16>(12, bf16(1.0F))),
      narrow(stream, {bf16(2.0F)});
  const Buffer<float> wide(stream, {0.5F});
  stream.wait();
  REQUIRE(multiply(runtime.lane().blas(), a, b, 12, 1.0F, wide) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(multiply(runtime.lane().blas(), a, b, 12, 1.0F, narrow) == CUBLAS_STATUS_SUCCESS);
  runtime.wait();
  CHECK(wide.values(stream)[0] == 267.5F);
  CHECK(widened(narrow.values(stream)[0]) == 268.0F);  // 269 is between two numbers; the even one is below
}

TEST_CASE("bf16 in kernels: cuBLAS is not allowed to add in bf16, and takes no other types") {
  gpu::Runtime runtime(0);
  const Stream stream;
  const Buffer<bf16> x(stream, {bf16(1.0F)}), narrow(1);
  const Buffer<float> wide(1);
  const Buffer<double> widest(1);
  stream.wait();
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  REQUIRE(cublasGetMathMode(runtime.lane().blas(), &math) == CUBLAS_STATUS_SUCCESS);
  CHECK((math & CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION) != 0);
  CHECK(multiply(runtime.lane().blas(), x, x, 1, 0.0F, widest) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(multiply(runtime.lane().blas(), x, x, 1, 0.0F, narrow, CUBLAS_COMPUTE_16F) ==
        CUBLAS_STATUS_NOT_SUPPORTED);
  REQUIRE(cublasSetMathMode(runtime.lane().blas(), CUBLAS_DEFAULT_MATH) == CUBLAS_STATUS_SUCCESS);
  CHECK(multiply(runtime.lane().blas(), x, x, 1, 0.0F, wide) == CUBLAS_STATUS_SUCCESS);
  CHECK_THROWS_WITH(multiply(runtime.lane().blas(), x, x, 1, 0.0F, narrow),
                    Catch::Contains("may add its parts in bf16"));
  runtime.wait();
}
