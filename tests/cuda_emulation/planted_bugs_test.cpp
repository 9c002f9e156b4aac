// Ten mistakes of CUDA programs, one test each. The name of a test says what finds the mistake. A line that
// ends with "right" is the same program without it. The right program of bug 9 is in nccl/nccl_test.cpp, and
// more mistakes are there and in mistakes_test.cpp.
#include "core/gpu/vector.cuh"
#include "tests/cuda_emulation/kernels/mistakes.cuh"
#include "tests/cuda_emulation/nccl/compute_and_sum.cuh"
#include "tests/support/ends_process.hpp"
#include "tests/support/faults.hpp"

using namespace cuda_emulation;
using Catch::Contains;
using granule::gpu::launch;
using granule::test::ends_process;
using granule::test::faults;

namespace {

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
__global__ void write(int* y, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) y[i] = i;
}
__global__ void wrong_mask(int* y) {
  if (threadIdx.x % 32 >= 16) y[threadIdx.x] = __shfl_xor_sync(0x0000ffffU, y[threadIdx.x], 1);
}
__global__ void misaligned_load(int* y) {
  y[threadIdx.x] = granule::gpu::load<4>(y + 1, 0).value[0];
}
__global__ void misaligned_store(int* y) {
  granule::gpu::store(y + 2, 0, granule::gpu::Pack<int, 4>{});
}

struct PinnedInt {
  PinnedInt() {
    GRANULE_GPU_CHECK(cudaHostAlloc(reinterpret_cast<void**>(&value), sizeof(int), cudaHostAllocDefault));
    *value = 0;
  }
  ~PinnedInt() { cudaFreeHost(value); }
  PinnedInt(const PinnedInt&) = delete;
  PinnedInt& operator=(const PinnedInt&) = delete;
  int* value = nullptr;
};

/// One stream computes what another one reads. Whether the reader always sees it.
enum class Wait : bool { for_event, missing };
bool consumer_sees_producer(Wait wait) {
  bool all = true;
  for (int round = 0; round < 16; ++round) {
    const Stream producer, consumer;
    const Buffer<int> x(producer, std::vector<int>(64, -1)), y(64);
    producer.wait();
    cudaEvent_t done = nullptr;
    REQUIRE(cudaEventCreateWithFlags(&done, cudaEventDisableTiming) == cudaSuccess);
    launch(producer, write, {1, 1, 64}, x.data(), 64);
    cudaEventRecord(done, producer);
    if (wait == Wait::for_event) cudaStreamWaitEvent(consumer, done, 0);
    cudaMemcpyAsync(y.data(), x.data(), 64 * sizeof(int), cudaMemcpyDeviceToDevice, consumer);
    all = all && y.values(consumer)[63] == 63;
    cudaEventDestroy(done);
  }
  return all;
}

/// A process that ends with exit code 0 after it has made a stream.
void end_with_a_stream(bool given_back) {
  auto* const stream = new Stream;
  if (given_back) delete stream;
  std::exit(EXIT_SUCCESS);
}

/// A collective that rank 1 leaves out, and then another one, or nothing.
enum class After : bool { gather, nothing };
void sum_on_some_ranks(Rank& rank, int number, After after) {
  const Buffer<float> data(rank.communication, std::vector<float>(4, 1.0F)), all(8);
  if (number != 1) rank.sum(data.data(), 4);
  if (after == After::gather) {
    ncclAllGather(data.data(), all.data(), 4, ncclFloat32, rank.comm, rank.communication);
    Rank::finish(rank.comm);
  }
  rank.communication.wait();
}

/// The buffer of a collective gets other values. Throws if they are in the result.
void gather_and_reuse(Rank& rank, int number, bool waits) {
  const Buffer<float> data(rank.communication, std::vector<float>(64, 1.0F + static_cast<float>(number)));
  const Buffer<float> all(128);
  ncclAllGather(data.data(), all.data(), 64, ncclFloat32, rank.comm, rank.communication);
  Rank::finish(rank.comm);
  if (waits) Rank::put_after(rank.computation, rank.communication);
  launch(rank.computation, set_to, {1, 1, 64}, data.data(), 99.0F);
  rank.computation.wait();
  const std::vector<float> values = all.values(rank.communication);
  must(std::accumulate(values.begin(), values.end(), 0.0F) == 192.0F, "a wrong gather");
}

}  // namespace

TEST_CASE("planted bug 1: a missing barrier shows in the result, and is a race to ThreadSanitizer") {
  CHECK(shows_as_race(missing_barrier, 64, falling(64)));
  std::vector<int> of_three_rounds = falling(64);
  for (int& value : of_three_rounds) value *= 3;
  CHECK(shows_as_race(missing_barrier_at_the_end_of_a_loop, 64, of_three_rounds));
  CHECK(shows_as_race(missing_syncwarp, 32, falling(32)));
}

TEST_CASE(
    "planted bug 2: a missing wait for a stream, of another stream or of the host, shows in the result") {
  CHECK(consumer_sees_producer(Wait::for_event));  // right
  CHECK_FALSE(consumer_sees_producer(Wait::missing));
  const Stream stream;
  const Buffer<int> y(stream, {7});
  const PinnedInt read;
  cudaMemcpyAsync(read.value, y.data(), sizeof(int), cudaMemcpyDeviceToHost, stream);
  CHECK(*read.value == 0);
  stream.wait();
  CHECK(*read.value == 7);  // right
}

TEST_CASE("planted bug 3: a row out of bounds is found in the red zone, and by AddressSanitizer at once") {
  const auto said_of = [](cudaError_t (*looks)(void*)) {
    return in_processes(1, [looks](int) {
      const Stream stream;
      void* raw = nullptr;
      GRANULE_GPU_CHECK(cudaMalloc(&raw, 100 * sizeof(int)));
      launch(stream, write, {1, 1, 128}, static_cast<int*>(raw), 101);
      GRANULE_GPU_CHECK(looks(raw));
    })[0];
  };
#if defined(__SANITIZE_ADDRESS__)  // it ends the process
  const auto found = Catch::StartsWith("status");
#else
  const auto found = Contains("past the end of an allocation of 400");
#endif
  CHECK_THAT(said_of([](void*) { return cudaDeviceSynchronize(); }), found);
  CHECK_THAT(said_of([](void* raw) { return cudaFree(raw); }), found);
}

TEST_CASE("planted bug 4: a wrong mask of lanes is reported with its line") {
  must_be_reported(wrong_mask, "planted_bugs_test.cpp:");
  must_be_reported(wrong_mask, "the calling lane is not in the mask");
}

TEST_CASE("planted bug 5: a misaligned vector is reported with its thread") {
  must_be_reported(misaligned_load, ": 16 bytes at once, 4 bytes after an address that allows it");
  must_be_reported(misaligned_store, ": 16 bytes at once, 8 bytes after");
}

TEST_CASE(
    "planted bug 6: a pointer to the host's memory is refused, and host code that follows a device's "
    "faults") {
  const Stream stream;
  std::vector<int> host(64);
  CHECK_THROWS_WITH(launch(stream, write, {1, 1, 64}, host.data(), 64), Contains("memory of the host"));
  CHECK_THROWS_WITH(cudaFree(host.data()), Contains("no allocation begins there"));
  const Buffer<int> y(64);
  const volatile int* const device = y.data();
  CHECK(faults([device] { static_cast<void>(*device); }));
}

TEST_CASE("planted bug 7: a leaked stream turns the end of a process into a failure") {
  CHECK_FALSE(ends_process([] { end_with_a_stream(true); }));  // right
  CHECK(ends_process([] { end_with_a_stream(false); }));
}

TEST_CASE("planted bug 8: a skipped call of NCCL meets another one, or never ends") {
  const auto after = [](After next, std::chrono::seconds patience) {
    return on_ranks(
        2, 1, [next](Rank& rank, int number) { sum_on_some_ranks(rank, number, next); }, patience);
  };
  const auto mixed = after(After::gather, kPatience),
             hanging = after(After::nothing, std::chrono::seconds(5));
  CHECK_THAT(mixed[0] + mixed[1], Contains("takes part in ncclA") && Contains("ncclAllGather of 16 bytes"));
  CHECK(hanging[0] == "hangs");
}

TEST_CASE("planted bug 9: a missing or early event around a collective shows in the result") {
  const auto found = [](Events events) {
    return is_found(2, [events](Rank& rank, int number) { compute_and_sum(rank, number, events); });
  };
  CHECK(found(Events::no_event_before));
  CHECK(found(Events::no_event_after));
  CHECK(found(Events::event_before_launch));  // the call has not come on its stream yet
}

TEST_CASE("planted bug 10: memory that is used again before its stream is done shows in the result") {
  const auto first_sent = [](bool waits) {
    const Stream stream;
    const PinnedInt sent;
    const Buffer<int> y(1);
    *sent.value = 1;
    cudaMemcpyAsync(y.data(), sent.value, sizeof(int), cudaMemcpyHostToDevice, stream);
    if (waits) stream.wait();
    *sent.value = 2;
    return y.values(stream)[0];
  };
  CHECK(first_sent(true) == 1);  // right
  CHECK(first_sent(false) == 2);
  const auto reused = [](bool waits) {
    return is_found(2, [waits](Rank& rank, int number) { gather_and_reuse(rank, number, waits); });
  };
  CHECK_FALSE(reused(true));  // right
  CHECK(reused(false));
}
