// Stable counting sort: items with equal keys keep their order, so whatever is summed in the sorted order
// always has the same order. There are no atomics but integer counts in shared memory.
#pragma once
#include "core/gpu/launch.cuh"

namespace granule::gpu {

inline constexpr std::int64_t kItemsOfTile = 1024;
inline constexpr std::int64_t kMostBins = 12288;  // counts in 48 KiB of shared memory

/// How many counts (int32) a sort needs: of every bin in every tile, one bin after the other.
[[nodiscard]] inline std::int64_t sort_counts(std::int64_t items, std::int64_t bins) {
  return bins * ceil_div(items, kItemsOfTile);
}

/// A block counts the keys of its tile. Keys below 0 belong to no bin.
template <class Key>
__global__ void __launch_bounds__(kThreads)
    count_tiles(Key key, std::int64_t items, int bins, int* __restrict__ counts) {
  GRANULE_DYNAMIC_SHARED(int, mine);
  for (int bin = static_cast<int>(threadIdx.x); bin < bins; bin += static_cast<int>(blockDim.x))
    mine[bin] = 0;
  __syncthreads();
  const std::int64_t begin = blockIdx.x * kItemsOfTile;
  const std::int64_t end = begin + kItemsOfTile < items ? begin + kItemsOfTile : items;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const int bin = key(i);
    if (bin >= 0) atomicAdd(mine + bin, 1);
  }
  __syncthreads();
  for (int bin = static_cast<int>(threadIdx.x); bin < bins; bin += static_cast<int>(blockDim.x))
    counts[static_cast<std::int64_t>(bin) * gridDim.x + blockIdx.x] = mine[bin];
}

/// The sum of the values of this lane and those before it.
inline __device__ int scan_warp(int value) {
  for (int step = 1; step < kWarp; step *= 2) {
    const int before = __shfl_up_sync(kAllLanes, value, static_cast<unsigned>(step));
    if (lane_index() >= step) value += before;
  }
  return value;
}
/// Replaces counts by the sums of those before them. It runs as one block.
template <class Count>
__global__ void __launch_bounds__(kThreads) sums_before(Count* __restrict__ counts, std::int64_t n) {
  GRANULE_SHARED(int[kWarp], of_warp);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = static_cast<int>(blockDim.x) / kWarp;
  int carried = 0;
  for (std::int64_t begin = 0; begin < n; begin += blockDim.x) {
    const std::int64_t i = begin + threadIdx.x;
    const int own = i < n ? counts[i] : 0, up_to = scan_warp(own);
    __syncthreads();
    if (lane_index() == kWarp - 1) of_warp[warp] = up_to;
    __syncthreads();
    const int through = scan_warp(lane_index() < warps ? of_warp[lane_index()] : 0);
    const int warps_before = warp == 0 ? 0 : __shfl_sync(kAllLanes, through, warp - 1);
    if (i < n) counts[i] = carried + warps_before + up_to - own;
    carried += __shfl_sync(kAllLanes, through, warps - 1);
  }
}

/// A warp has a tile. place(item, position) is called for each item with a bin.
template <class Key, class Place>
__global__ void __launch_bounds__(kWarp)
    place_tiles(Key key, Place place, std::int64_t items, int bins, const int* __restrict__ starts) {
  GRANULE_DYNAMIC_SHARED(int, next);
  const int lane = lane_index();
  for (int bin = lane; bin < bins; bin += kWarp)
    next[bin] = starts[static_cast<std::int64_t>(bin) * gridDim.x + blockIdx.x];
  __syncwarp();
  const std::int64_t begin = blockIdx.x * kItemsOfTile;
  for (std::int64_t first = begin; first < begin + kItemsOfTile && first < items; first += kWarp) {
    const std::int64_t i = first + lane;
    const int bin = i < items ? key(i) : -1;
    const unsigned same = __match_any_sync(kAllLanes, bin), before = same & ((1U << lane) - 1U);
    if (bin >= 0) place(i, next[bin] + __popc(before));
    __syncwarp();
    if (bin >= 0 && before == 0) next[bin] += __popc(same);
    __syncwarp();
  }
}

/// Counts, and sums up where each bin of each tile begins.
template <class Key>
void find_starts(cudaStream_t stream, std::int64_t items, std::int64_t bins, int* counts, const Key& key) {
  GRANULE_CHECK(bins <= kMostBins, "CUDA: a sort into {} bins, {} are the most", bins, kMostBins);
  const std::int64_t tiles = ceil_div(items, kItemsOfTile),
                     shared = bins * static_cast<std::int64_t>(sizeof(int));
  launch(stream, count_tiles<Key>, {tiles, 1, threads_for_row(std::min(items, kItemsOfTile)), shared}, key,
         items, bins, counts);
  const std::int64_t all = bins * tiles;
  if (all > 0) launch(stream, sums_before<int>, {1, 1, threads_for_row(all)}, counts, all);
}

/// Calls place(item, position) for all items with a key of at least 0. `counts` has sort_counts() elements.
template <class Key, class Place>
void stable_sort(cudaStream_t stream, std::int64_t items, std::int64_t bins, int* counts, const Key& key,
                 const Place& place) {
  find_starts(stream, items, bins, counts, key);
  launch(stream, place_tiles<Key, Place>,
         {ceil_div(items, kItemsOfTile), 1, kWarp, bins * static_cast<std::int64_t>(sizeof(int))}, key, place,
         items, bins, counts);
}

}  // namespace granule::gpu
