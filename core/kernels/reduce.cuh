// Sums over a block, in an order that depends on the block's size alone.
#pragma once
#include "core/gpu.hpp"

namespace granule::gpu {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffU;

/// The sum over all threads of a block, returned to each of them. Every thread must call it, and blocks must
/// have whole warps.
__device__ inline double block_sum(double value) {
  __shared__ double of_warp[kWarp];
  const unsigned lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  __syncthreads();  // a caller's next sum must not overtake this one's readers
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  value = lane < warps ? of_warp[lane] : 0.0;
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

}  // namespace granule::gpu
