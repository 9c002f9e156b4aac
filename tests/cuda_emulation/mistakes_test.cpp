// Mistakes of kernels and programs beyond the ten of planted_bugs_test.cpp, which the emulator also finds.
// And the same kernels without their mistakes, of which it says nothing.
#include "tests/cuda_emulation/kernels/mistakes.cuh"

#include "core/gpu/reduce.cuh"
#include "tests/cuda_emulation/runtime/streams.hpp"

using namespace cuda_emulation;
using granule::gpu::launch;

namespace {

__global__ void barriers_in_both_branches(int* y) {
  if (threadIdx.x < 40) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1;
}
__global__ void barrier_of_some(int* y) {
  if (threadIdx.x < 40) __syncthreads();
  y[threadIdx.x] = 1;
}
__global__ void return_before_barrier(int* y) {
  if (threadIdx.x >= 50) return;
  y[threadIdx.x] = 1;
  __syncthreads();
}
__global__ void shuffle_in_branch(int* y) {
  if (threadIdx.x % 32 < 16) y[threadIdx.x] = __shfl_xor_sync(granule::gpu::kAllLanes, y[threadIdx.x], 1);
}
__global__ void mask_of_the_moment(int* y) {
  y[threadIdx.x] = static_cast<int>(__activemask());
}
__global__ void unwritten_shared(int* y) {
  GRANULE_SHARED(int[64], shared);
  if (threadIdx.x < 32) shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = shared[threadIdx.x];
}
__global__ void lane_that_is_not_in_the_mask(int* y) {
  y[threadIdx.x] = threadIdx.x < 16 ? __shfl_sync(0x0000ffffU, static_cast<int>(threadIdx.x), 20) : 20;
}
__global__ void write(int* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = i;
}
__global__ void add_across_blocks(int* y) {
  if (threadIdx.x == 0) y[0] = y[0] + 1;
  __syncthreads();
  y[1 + blockIdx.x] = y[0];
}
__global__ void too_much_shared(int* y) {
  GRANULE_SHARED(int[8192], a);
  GRANULE_SHARED(int[8192], b);
  a[threadIdx.x] = b[threadIdx.x] = 0;
  y[threadIdx.x] = a[threadIdx.x];
}

}  // namespace

TEST_CASE("mistake: barriers and warp collectives that some threads miss are reported with their line") {
  must_be_reported(barriers_in_both_branches, "divergent __syncthreads");
  must_be_reported(barrier_of_some, "mistakes_test.cpp:");
  must_be_reported(return_before_barrier, "__syncthreads");
  must_be_reported(shuffle_in_branch, "deadlock");
  must_be_reported(mask_of_the_moment, "masks are stated");
  must_be_reported(too_much_shared, "48 KiB");
}

TEST_CASE(
    "mistake: shared memory that nobody wrote, and a lane outside the mask, are not numbers of theirs") {
  std::vector<int> identity(64);
  std::iota(identity.begin(), identity.end(), 0);
  CHECK(shows_in_the_result(unwritten_shared, 64, identity));
  CHECK(shows_in_the_result(lane_that_is_not_in_the_mask, 32, std::vector<int>(32, 20)));
}

TEST_CASE("mistake: blocks that depend on their order show it") {
  CHECK(shows_as_race(add_across_blocks, 32, {4, 1, 2, 3, 4}, 4));
}

TEST_CASE("mistake: a copy past the end is found at once") {
  const Stream stream;
  const Buffer<int> x(100);
  CHECK(cudaMemsetAsync(x.data(), 0, 400, stream) == cudaSuccess);
  std::vector<int> host(101);
  CHECK_THROWS_WITH(cudaMemcpyAsync(host.data(), x.data(), 404, cudaMemcpyDeviceToHost, stream),
                    Catch::Contains("not inside one allocation"));
  stream.wait();
}

TEST_CASE("mistake: launches that no device takes are refused") {
  const Stream stream;
  const Buffer<int> y(64);
  cudaLaunchConfig_t config{};
  config.stream = stream;
  config.gridDim = dim3(0);
  config.blockDim = dim3(64);
  CHECK_THROWS_WITH(cudaLaunchKernelEx(&config, write, y.data(), 64),
                    Catch::Contains("which no device takes"));
  CHECK_THROWS_WITH(launch(stream, write, {1, 1, 2048}, y.data(), 64),
                    Catch::Contains("which no device takes"));
  CHECK_THROWS_WITH(launch(stream, write, {1, 1, 64, 50000}, y.data(), 64), Catch::Contains("shared memory"));
  config.gridDim = dim3(1);
  config.stream = nullptr;
  CHECK_THROWS_WITH(cudaLaunchKernelEx(&config, write, y.data(), 64), Catch::Contains("default streams"));
}

TEST_CASE("mistake: an event that is never recorded after a wait for it is a deadlock of streams") {
  const Stream one, other;
  cudaEvent_t first = nullptr, second = nullptr;
  cudaEventCreateWithFlags(&first, cudaEventDisableTiming);
  cudaEventCreateWithFlags(&second, cudaEventDisableTiming);
  // Each stream waits for what the other does only after its own wait.
  first->recorded = second->recorded = 1;
  cudaStreamWaitEvent(one, second, 0);
  cudaStreamWaitEvent(other, first, 0);
  CHECK_THROWS_WITH(one.wait(), Catch::Contains("deadlocked"));
  first->state->done = second->state->done = 1;
  one.wait();
  other.wait();
  cudaEventDestroy(first);
  cudaEventDestroy(second);
}

TEST_CASE("mistake: what was not given back is counted") {
  const Live before = live();
  auto* const stream = new Stream;
  auto* const buffer = new Buffer<int>(8);
  CHECK(live().streams == before.streams + 1);
  CHECK(live().bytes == before.bytes + 32);
  delete buffer;
  delete stream;
  CHECK(live() == before);
}

TEST_CASE("mistake: the same kernels without their mistakes are right under every schedule") {
  CHECK_FALSE(shows_in_the_result(
      [](int* y) {
        GRANULE_SHARED(int[64], shared);
        for (int round = 0; round < 3; ++round) {
          shared[threadIdx.x] = static_cast<int>(threadIdx.x);
          __syncthreads();
          y[threadIdx.x] = shared[63 - threadIdx.x];
          __syncthreads();
        }
      },
      64, falling(64)));
  CHECK_FALSE(shows_in_the_result(
      [](int* y) { y[threadIdx.x] = granule::gpu::over_block(static_cast<int>(threadIdx.x)); }, 96,
      std::vector<int>(96, 95 * 96 / 2)));
}
