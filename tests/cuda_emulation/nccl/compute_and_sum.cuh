// The smallest program with kernels on one stream and a collective on another, with all its events or without
// one.
#pragma once
#include "tests/cuda_emulation/nccl/rank.cuh"

namespace cuda_emulation {

__global__ inline void set_to(float* x, float value) {
  x[threadIdx.x] = value;
}
__global__ inline void double_all(float* x) {
  x[threadIdx.x] *= 2.0F;
}

enum class Events : std::uint8_t { right, no_event_before, no_event_after, event_before_launch };

/// A kernel, a sum over two ranks, another kernel. `events` says which event is missing, if one is. Throws if
/// the result is wrong.
inline void compute_and_sum(Rank& rank, int number, Events events) {
  using granule::gpu::launch;
  const Buffer<float> data(64);
  // The host asks for news while it calls NCCL, and one kernel would have run until then.
  for (int before = 8; before >= 0; --before)
    launch(rank.computation, set_to, {1, 1, 64}, data.data(), 1.0F + static_cast<float>(number + before));
  if (events != Events::no_event_before) Rank::put_after(rank.communication, rank.computation);
  ncclAllReduce(data.data(), data.data(), 64, ncclFloat32, ncclSum, rank.comm, rank.communication);
  if (events != Events::event_before_launch) Rank::finish(rank.comm);
  if (events != Events::no_event_after) Rank::put_after(rank.computation, rank.communication);
  Rank::finish(rank.comm);
  launch(rank.computation, double_all, {1, 1, 64}, data.data());
  const std::vector<float> values = data.values(rank.computation);
  rank.communication.wait();
  must(values == std::vector<float>(64, 6.0F), "a wrong sum");
}

}  // namespace cuda_emulation
