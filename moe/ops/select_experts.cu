#include <limits>

#include "core/gpu/math.cuh"
#include "core/gpu/runtime.cuh"
#include "moe/ops/select_experts.hpp"

namespace granule {
namespace {

constexpr std::int64_t kMostKeys = 4096;  // experts and groups: their keys are in 48 KiB of shared memory

template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

/// NaN counts as the lowest number.
template <class T>
__device__ T number_of(T score) {
  return score != score ? kLowest<T> : score;
}
/// What was chosen becomes NaN, which is chosen no more. The keys themselves are never NaN.
template <class T>
__device__ T chosen() {
  return static_cast<T>(NAN);
}

/// The index of the largest key that is not NaN, the lowest one of equal keys; n if there is none. A warp
/// finds it, and every lane gets it.
template <class T>
__device__ int largest(const T* key, int n) {
  int best = n;
  for (int i = gpu::lane_index(); i < n; i += gpu::kWarp) {
    if (key[i] == key[i] && (best == n || key[i] > key[best])) best = i;
  }
  T value = best < n ? key[best] : T(0);
  for (int step = gpu::kWarp / 2; step > 0; step /= 2) {
    const int other = __shfl_xor_sync(gpu::kAllLanes, best, step);
    const T other_value = __shfl_xor_sync(gpu::kAllLanes, value, step);
    const bool better =
        other < n && (best == n || other_value > value || (other_value == value && other < best));
    best = better ? other : best;
    value = better ? other_value : value;
  }
  return best;
}

struct Rule {
  int experts, k, groups, kept_groups, masked;
  bool sum_of_two;
};

/// The value of a group of `size` keys, found by one thread.
template <class T>
__device__ T score_of_group(const T* key, int size, const Rule& rule) {
  const T excluded = gpu::minus_infinity<T>();
  T first = excluded, second = excluded;
  for (int e = 0; e < size; ++e) {
    const T value = key[e];
    second = gpu::larger(second, value < first ? value : first);
    first = gpu::larger(first, value);
  }
  const bool alone = rule.masked > 0 ? second == excluded : size == 1;
  return rule.sum_of_two && !alone ? first + second : first;
}

/// Excludes the experts of all groups but the best.
template <class T>
__device__ void limit_groups(T* key, T* group_score, const Rule& rule) {
  const int size = rule.experts / rule.groups, lane = gpu::lane_index();
  for (int g = lane; g < rule.groups; g += gpu::kWarp)
    group_score[g] = score_of_group(key + g * size, size, rule);
  __syncwarp();
  for (int i = 0; i < rule.kept_groups; ++i) {
    const int best = largest(group_score, rule.groups);
    __syncwarp();
    if (lane == 0) group_score[best] = chosen<T>();
    __syncwarp();
  }
  for (int e = lane; e < rule.experts; e += gpu::kWarp) {
    const T group = group_score[e / size];
    if (group == group) key[e] = gpu::minus_infinity<T>();
  }
  __syncwarp();
}

/// There is one warp for each row, and one warp in a block.
template <class T>
__global__ void __launch_bounds__(gpu::kWarp)
    choose(const T* __restrict__ score, const float* __restrict__ bias, Rule rule,
           std::int32_t* __restrict__ id) {
  GRANULE_DYNAMIC_SHARED(T, key);
  const int lane = gpu::lane_index();
  score += static_cast<std::int64_t>(blockIdx.x) * rule.experts;
  id += static_cast<std::int64_t>(blockIdx.x) * rule.k;
  T* const masks = key + rule.experts;  // the raw scores, then those of groups
  for (int e = lane; e < rule.experts; e += gpu::kWarp) {
    masks[e] = number_of(score[e]);
    key[e] = bias == nullptr ? masks[e] : number_of(score[e] + static_cast<T>(bias[e]));
  }
  __syncwarp();
  for (int i = 0; i < rule.masked; ++i) {
    const int best = largest(masks, rule.experts);
    __syncwarp();
    if (lane == 0) {
      masks[best] = chosen<T>();
      key[best] = gpu::minus_infinity<T>();
    }
    __syncwarp();
  }
  if (rule.kept_groups < rule.groups) limit_groups(key, masks, rule);
  for (int i = 0; i < rule.k; ++i) {
    const int best = largest(key, rule.experts);
    __syncwarp();
    if (lane == 0) {
      id[i] = best;
      key[best] = chosen<T>();
    }
    __syncwarp();
  }
}

void select_cuda(const SelectExpertsArgs& args) {
  const std::int64_t N = args.score_NE.shape()[0], E = args.score_NE.shape()[1];
  GRANULE_CHECK(2 * E <= kMostKeys, "selection: {} experts, CUDA takes {}", E, kMostKeys / 2);
  const SelectionRule& given = args.rule;
  const Rule rule{static_cast<int>(E),
                  static_cast<int>(given.k),
                  static_cast<int>(given.groups),
                  static_cast<int>(given.kept_groups),
                  static_cast<int>(given.masked),
                  given.group_score == SelectionRule::GroupScore::sum_of_two};
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.id_NK), choose<T>,
                {N, 1, gpu::kWarp, 2 * E * static_cast<std::int64_t>(sizeof(T))},
                args.score_NE.data<const T>(),
                args.bias_E.defined() ? args.bias_E.data<const float>() : nullptr, rule,
                args.id_NK.data<std::int32_t>());
  });
}

const gpu::Kernels kernels([] {
  select_experts_kernel.fill(DeviceType::cuda, select_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
