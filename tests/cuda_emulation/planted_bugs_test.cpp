// Each of these kernels and programs has a mistake that people make. The emulator must find every one of
// them, in one of two ways: it throws and says where, or the result is wrong under at least one schedule.
#include <numeric>

#include "core/gpu/reduce.cuh"
#include "core/gpu/vector.cuh"
#include "tests/cuda_emulation/kernels/races.hpp"
#include "tests/cuda_emulation/runtime/streams.hpp"
#include "tests/cuda_emulation/schedules.cuh"
#include "tests/support/catch.hpp"
#include "tests/support/ends_process.hpp"
#include "tests/support/faults.hpp"

using namespace cuda_emulation;
using granule::gpu::launch;
using granule::test::ends_process;
using granule::test::faults;

namespace {

constexpr unsigned kAll = 0xffffffffU;

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
  if (threadIdx.x % 32 < 16) y[threadIdx.x] = __shfl_xor_sync(kAll, y[threadIdx.x], 1);
}
__global__ void wrong_mask(int* y) {
  if (threadIdx.x % 32 >= 16) y[threadIdx.x] = __shfl_xor_sync(0x0000ffffU, y[threadIdx.x], 1);
}
__global__ void mask_of_the_moment(int* y) {
  y[threadIdx.x] = static_cast<int>(__activemask());
}
__global__ void missing_barrier(int* y) {
  GRANULE_SHARED(int[64], shared);
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  y[threadIdx.x] = shared[63 - threadIdx.x];
}
__global__ void missing_barrier_at_the_end_of_a_loop(int* y) {
  GRANULE_SHARED(int[64], shared);
  for (int round = 0; round < 3; ++round) {
    shared[threadIdx.x] = 100 * round + static_cast<int>(threadIdx.x);
    __syncthreads();
    y[threadIdx.x] += shared[63 - threadIdx.x] - 100 * round;
  }
}
__global__ void missing_syncwarp(int* y) {
  GRANULE_SHARED(int[32], shared);
  shared[threadIdx.x] = static_cast<int>(threadIdx.x);
  y[threadIdx.x] = shared[31 - threadIdx.x];
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

using Kernel = void (*)(int*);

/// What the emulator says of a kernel with a block of 64 threads, under every schedule.
void must_be_reported(Kernel kernel, const std::string& words) {
  under_schedules([&] {
    const Stream stream;
    const Buffer<int> y(stream, std::vector<int>(128, 0));
    launch(stream, kernel, {1, 1, 64}, y.data());
    CHECK_THROWS_WITH(stream.wait(), Catch::Contains(words));
  });
}

/// Whether the result differs from the right one under at least one schedule.
bool shows_in_the_result(Kernel kernel, unsigned threads, const std::vector<int>& right,
                         unsigned blocks = 1) {
  bool shown = false;
  under_schedules([&] {
    const Stream stream;
    const Buffer<int> y(stream, std::vector<int>(right.size(), 0));
    launch(stream, kernel, {blocks, 1, threads}, y.data());
    shown = shown || y.values(stream) != right;
  });
  return shown;
}

/// The same, and to ThreadSanitizer it is a data race.
bool shows_as_race(Kernel kernel, unsigned threads, const std::vector<int>& right, unsigned blocks = 1) {
  const bool shown = shows_in_the_result(kernel, threads, right, blocks);
  const std::optional<int> races = take_races();
  CHECK((!races || *races > 0));
  return shown;
}

std::vector<int> falling(int n) {
  std::vector<int> values(static_cast<std::size_t>(n));
  std::iota(values.rbegin(), values.rend(), 0);
  return values;
}

}  // namespace

TEST_CASE("planted bug: barriers and warp collectives that some threads miss are reported with their line") {
  must_be_reported(barriers_in_both_branches, "divergent __syncthreads");
  must_be_reported(barrier_of_some, "planted_bugs_test.cpp:");
  must_be_reported(return_before_barrier, "__syncthreads");
  must_be_reported(shuffle_in_branch, "deadlock");
  must_be_reported(wrong_mask, "the calling lane is not in the mask");
  must_be_reported(mask_of_the_moment, "masks are stated");
  must_be_reported(too_much_shared, "48 KiB");
}

TEST_CASE("planted bug: a missing barrier shows in the result, before reading and at the end of a loop") {
  CHECK(shows_as_race(missing_barrier, 64, falling(64)));
  std::vector<int> of_three_rounds = falling(64);
  for (int& value : of_three_rounds) value *= 3;
  CHECK(shows_as_race(missing_barrier_at_the_end_of_a_loop, 64, of_three_rounds));
  CHECK(shows_as_race(missing_syncwarp, 32, falling(32)));
}

TEST_CASE(
    "planted bug: shared memory that nobody wrote, and a lane outside the mask, are not numbers of theirs") {
  std::vector<int> identity(64);
  std::iota(identity.begin(), identity.end(), 0);
  CHECK(shows_in_the_result(unwritten_shared, 64, identity));
  CHECK(shows_in_the_result(lane_that_is_not_in_the_mask, 32, std::vector<int>(32, 20)));
}

TEST_CASE("planted bug: blocks that depend on their order show it") {
  CHECK(shows_as_race(add_across_blocks, 32, {4, 1, 2, 3, 4}, 4));
}

TEST_CASE("planted bug: a row past the end is found in the red zone") {
  const Stream stream;
  void* raw = nullptr;
  REQUIRE(cudaMalloc(&raw, 100 * sizeof(int)) == cudaSuccess);
  const auto write_rows = [&] {
    launch(stream, write, {1, 1, 128}, static_cast<int*>(raw), 101);
    static_cast<void>(cudaDeviceSynchronize());
  };
#if defined(__SANITIZE_ADDRESS__)  // It ends the program at the write itself.
  CHECK(ends_process(write_rows));
#else
  CHECK_THROWS_WITH(write_rows(), Catch::Contains("past the end of an allocation of 400"));
  CHECK_THROWS_WITH(cudaFree(raw), Catch::Contains("past the end"));  // the row is still there
#endif
  launch(stream, write, {1, 1, 32}, static_cast<int*>(raw), 1);
  stream.wait();
}

TEST_CASE("planted bug: a copy past the end is found at once") {
  const Stream stream;
  const Buffer<int> x(100);
  CHECK(cudaMemsetAsync(x.data(), 0, 400, stream) == cudaSuccess);
  std::vector<int> host(101);
  CHECK_THROWS_WITH(cudaMemcpyAsync(host.data(), x.data(), 404, cudaMemcpyDeviceToHost, stream),
                    Catch::Contains("not inside one allocation"));
  stream.wait();
}

TEST_CASE("planted bug: pointers of the wrong side are found") {
  const Stream stream;
  std::vector<int> host(64);
  CHECK_THROWS_WITH(launch(stream, write, {1, 1, 64}, host.data(), 64),
                    Catch::Contains("memory of the host"));
  const Buffer<int> y(64);
  const volatile int* const device = y.data();
  CHECK(faults([device] { static_cast<void>(*device); }));
  CHECK_THROWS_WITH(cudaFree(host.data()), Catch::Contains("no allocation begins there"));
}

TEST_CASE("planted bug: launches that no device takes are refused") {
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

namespace {

/// One stream computes what another one reads.
enum class Order2 : bool { event, none };
bool consumer_sees_producer(Order2 order) {
  bool all = true;
  for (int round = 0; round < 16; ++round) {
    const Stream producer, consumer;
    const Buffer<int> x(producer, std::vector<int>(64, -1)), y(64);
    producer.wait();
    cudaEvent_t done = nullptr;
    REQUIRE(cudaEventCreateWithFlags(&done, cudaEventDisableTiming) == cudaSuccess);
    launch(producer, write, {1, 1, 64}, x.data(), 64);
    cudaEventRecord(done, producer);
    if (order == Order2::event) cudaStreamWaitEvent(consumer, done, 0);
    cudaMemcpyAsync(y.data(), x.data(), 64 * sizeof(int), cudaMemcpyDeviceToDevice, consumer);
    all = all && y.values(consumer)[63] == 63;
    cudaEventDestroy(done);
  }
  return all;
}

}  // namespace

TEST_CASE("planted bug: a missing event between two streams shows in the result") {
  CHECK(consumer_sees_producer(Order2::event));
  CHECK_FALSE(consumer_sees_producer(Order2::none));
}

TEST_CASE("planted bug: pinned memory that is used again before the stream has passed shows in the result") {
  const auto first_sent = [](bool waits) {
    const Stream stream;
    int* pinned = nullptr;
    REQUIRE(cudaHostAlloc(reinterpret_cast<void**>(&pinned), sizeof(int), cudaHostAllocDefault) ==
            cudaSuccess);
    const Buffer<int> y(1);
    *pinned = 1;
    cudaMemcpyAsync(y.data(), pinned, sizeof(int), cudaMemcpyHostToDevice, stream);
    if (waits) stream.wait();
    *pinned = 2;
    const int sent = y.values(stream)[0];
    cudaFreeHost(pinned);
    return sent;
  };
  CHECK(first_sent(true) == 1);
  CHECK(first_sent(false) == 2);
}

TEST_CASE("planted bug: a result that is read without waiting for the stream is not there yet") {
  const Stream stream;
  const Buffer<int> y(stream, {7});
  int* pinned = nullptr;
  REQUIRE(cudaHostAlloc(reinterpret_cast<void**>(&pinned), sizeof(int), cudaHostAllocDefault) == cudaSuccess);
  *pinned = 0;
  cudaMemcpyAsync(pinned, y.data(), sizeof(int), cudaMemcpyDeviceToHost, stream);
  CHECK(*pinned == 0);
  stream.wait();
  CHECK(*pinned == 7);
  cudaFreeHost(pinned);
}

TEST_CASE("planted bug: an event that is never recorded after a wait for it is a deadlock of streams") {
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

TEST_CASE("planted bug: what was not given back is counted") {
  const Live before = live();
  auto* const stream = new Stream;
  auto* const buffer = new Buffer<int>(8);
  CHECK(live().streams == before.streams + 1);
  CHECK(live().bytes == before.bytes + 32);
  delete buffer;
  delete stream;
  CHECK(live() == before);
}

TEST_CASE("the same kernels without their mistakes are right under every schedule") {
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
