#include "core/gpu/runtime.cuh"

#include <chrono>
#include <thread>

#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"

using namespace granule;
using cuda_emulation::Buffer;
using cuda_emulation::live;
using cuda_emulation::Stream;
using gpu::Runtime;

namespace {

std::vector<std::byte> bytes_of(std::size_t n, unsigned seed) {
  std::vector<std::byte> bytes(n);
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>((i * 7 + seed) % 251);
  return bytes;
}

__global__ void find_negative(const int* x, gpu::Fault fault) {
  if (x[threadIdx.x] < 0) fault.report(x[threadIdx.x], threadIdx.x);
}

__global__ void take_a_while(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

}  // namespace

TEST_CASE(
    "gpu runtime: many copies in both directions share the pinned memory, and their sources may change at "
    "once") {
  Runtime runtime(0);
  constexpr std::int64_t kBytes = std::int64_t{5}
                                  << 20;  // with padding three fill both halves and begin again
  std::vector<std::byte*> places;
  for (unsigned i = 0; i < 6; ++i) {
    places.push_back(runtime.allocate(kBytes));
    std::vector<std::byte> source = bytes_of(kBytes, i);
    runtime.copy_to_device(places.back(), source);
    std::fill(source.begin(), source.end(), std::byte{0});
  }
  std::vector<std::vector<std::byte>> back(6, std::vector<std::byte>(kBytes));
  for (unsigned i = 0; i < 6; ++i) runtime.copy_to_host(back[i], places[i]);
  runtime.wait();
  for (unsigned i = 0; i < 6; ++i) CHECK(back[i] == bytes_of(kBytes, i));
  for (std::byte* const place : places) runtime.release(place, kBytes);
}

TEST_CASE("gpu runtime: copies and fills take their turn") {
  Runtime runtime(0);
  std::byte* const data = runtime.allocate(8);
  std::vector<std::byte> before(8), after(8);
  runtime.copy_to_device(data, bytes_of(8, 1));
  runtime.copy_to_host(before, data);
  runtime.fill(data, 8, std::byte{9});
  runtime.copy_to_host(after, data);
  runtime.wait();
  CHECK(before == bytes_of(8, 1));
  CHECK(after == std::vector(8, std::byte{9}));
  runtime.release(data, 8);
}

TEST_CASE("gpu runtime: what a kernel finds wrong is thrown after the wait, once, with its numbers") {
  Runtime runtime(0);
  const Stream stream;
  const Buffer<int> x(stream, {1, -5, 2, 3});
  stream.wait();
  const gpu::Fault fault = GRANULE_FAULT(runtime, "find: number {} of row {}");
  gpu::launch(runtime.stream(), find_negative, {1, 1, 4}, x.data(), fault);
  CHECK_NOTHROW(runtime.throw_faults());
  runtime.wait();
  CHECK_THROWS_WITH(runtime.throw_faults(), Catch::Contains("find: number -5 of row 1 (runtime_test.cpp:"));
  CHECK_NOTHROW(runtime.throw_faults());
}

TEST_CASE("gpu runtime: its clock tells when kernels ran, however late, and makes its events once") {
  using Clock = std::chrono::steady_clock;
  Runtime runtime(0);
  const auto events = live().events;
  DeviceClock& clock = *runtime.clock();
  const auto start = Clock::now();
  for (int i = 0; i < 3; ++i) {
    REQUIRE(clock.mark() == 0);
    gpu::launch(runtime.stream(), take_a_while, {1, 1, 1}, 20);
    REQUIRE(clock.mark() == 1);
    REQUIRE(clock.mark() == 2);
    const std::vector<double> seconds = clock.take_marks();
    REQUIRE(seconds.size() == 3);
    CHECK(seconds[0] == 0.0);
    CHECK(seconds[1] >= 0.02);
    CHECK(seconds[2] >= seconds[1]);
    CHECK(seconds[2] <= std::chrono::duration<double>(Clock::now() - start).count());
    CHECK(live().events == events + 3);
  }
}

TEST_CASE("gpu runtime: kernels and copies use pinned memory as they use the device's") {
  Runtime runtime(0);
  const auto pinned = live().pinned;
  std::byte* const data = runtime.pinned().allocate(4 * sizeof(int));
  CHECK(live().pinned == pinned + 1);
  const std::array<int, 4> numbers{1, 2, -7, 3};
  runtime.copy_to_device(data, std::as_bytes(std::span(numbers)));
  const gpu::Fault fault = GRANULE_FAULT(runtime, "pinned: number {} of row {}");
  gpu::launch(runtime.stream(), find_negative, {1, 1, 4}, reinterpret_cast<const int*>(data), fault);
  runtime.fill(data, sizeof(int), std::byte{0});
  std::array<int, 4> back{};
  runtime.copy_to_host(std::as_writable_bytes(std::span(back)), data);
  runtime.wait();
  CHECK(back == std::array{0, 2, -7, 3});
  CHECK_THROWS_WITH(runtime.throw_faults(), Catch::Contains("pinned: number -7 of row 2"));
  runtime.pinned().release(data, 4 * sizeof(int));
  CHECK(live().pinned == pinned);
}

TEST_CASE("gpu runtime: checks of bytes take their turn, and count") {
  Runtime runtime(0);
  std::byte* const data = runtime.allocate(16);
  runtime.fill(data, 16, std::byte{1});
  const std::span<const std::byte> all(data, 16);
  runtime.check({all.first(4), all.subspan(12)}, std::byte{1});
  runtime.check({all, all}, std::byte{2});
  runtime.fill(data, 16, std::byte{2});
  runtime.check({all, all}, std::byte{2});
  CHECK(runtime.failed_checks() == 1);
  runtime.release(data, 16);
}

TEST_CASE("gpu runtime: everything is given back") {
  const auto before = live();
  {
    Runtime runtime(0);
    CHECK(live().streams == before.streams + 4);  // the main one, and those beside it
  }
  CHECK(live() == before);
}

TEST_CASE(
    "gpu runtime: more memory than there is, and a device that is not there, are errors with CUDA's words") {
  Runtime runtime(0);
  CHECK_THROWS_WITH(runtime.allocate(std::int64_t{1} << 40), Catch::Contains("CUDA: out of memory"));
  CHECK_THROWS_WITH(Runtime(8), Catch::Contains("CUDA: invalid device ordinal"));
}

TEST_CASE("gpu gemm: cuBLAS is asked for no combination of types that its documentation does not have") {
  Runtime runtime(0);
  const Buffer<double> x(4);
  const double one = 1.0;
  const auto status = cublasGemmStridedBatchedEx_64(
      runtime.lane().blas(), CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 1, &one, x.data(), CUDA_R_64F, 2, 0, x.data(),
      CUDA_R_64F, 2, 0, &one, x.data(), CUDA_R_32F, 2, 0, 1, CUBLAS_COMPUTE_64F, CUBLAS_GEMM_DEFAULT);
  CHECK(status == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_THROWS_WITH(gpu::check_blas(status, "gemm"), Catch::Contains("gemm: the requested functionality"));
}
