#include <limits>

#include "core/gpu/runtime.cuh"
#include "core/gpu/stable_sort.cuh"
#include "moe/ops/limit_capacity.hpp"

namespace granule {
namespace {

template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();

/// The expert of a copy; −1 for padding.
struct ValidExpertOf {
  const std::int32_t *id, *valid;
  std::int64_t k, experts;
  gpu::Fault fault;
  __device__ int operator()(std::int64_t copy) const {
    if (valid != nullptr && valid[copy / k] == 0) return -1;
    const std::int32_t expert = id[copy];
    if (expert >= 0 && expert < experts) return expert;
    fault.report(expert, experts);
    return -1;
  }
};
/// Copies sorted by expert, and within an expert by token. `expert` says whose they are.
struct Sorted {
  std::int32_t *copy, *expert;
};
struct MoveCopy {
  const std::int32_t* id;
  Sorted sorted;
  __device__ void operator()(std::int64_t copy, int place) const {
    sorted.copy[place] = static_cast<std::int32_t>(copy);
    sorted.expert[place] = id[copy];
  }
};

/// A copy is carried out if fewer than `capacity` copies of its expert come before it. There is one warp for
/// each place of the sorted order, and it compares its copy with all others of the expert. Places that hold
/// no copy are −1.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    send_most_affine(Sorted sorted, std::int64_t places, std::int64_t k, std::int64_t experts,
                     std::int64_t capacity, const T* __restrict__ affinity, std::int32_t* __restrict__ sent) {
  const std::int64_t place = gpu::warp_index();
  if (place >= places || sorted.expert[place] < 0) return;
  const std::int64_t expert = sorted.expert[place], copy = sorted.copy[place];
  const auto value_of = [&](std::int64_t of) {
    const T value = affinity == nullptr ? T(0) : affinity[of / k * experts + expert];
    return value != value ? kLowest<T> : value;
  };
  const T mine = value_of(copy);
  std::int64_t first = place, ahead = 0;
  while (first > 0 && sorted.expert[first - 1] == expert) --first;
  for (std::int64_t base = first; base < places; base += gpu::kWarp) {
    const std::int64_t other = base + gpu::lane_index();
    const bool of_expert = other < places && sorted.expert[other] == expert;
    const T value = of_expert ? value_of(sorted.copy[other]) : mine;
    const bool before = of_expert && (value > mine || (value == mine && other < place));
    ahead += __popc(__ballot_sync(gpu::kAllLanes, before ? 1 : 0));
    if (__all_sync(gpu::kAllLanes, of_expert ? 1 : 0) == 0) break;
  }
  if (gpu::lane_index() == 0 && ahead < capacity) sent[copy] = static_cast<std::int32_t>(expert);
}

void limit_cuda(const LimitCapacityArgs& args, Workspace& workspace) {
  const std::int64_t copies = args.id_NK.numel(), k = args.id_NK.shape()[1];
  gpu::Runtime& runtime = gpu::runtime_of(args.id_NK);
  const auto* const id = args.id_NK.data<const std::int32_t>();
  auto* const counts = workspace.take<std::int32_t>(gpu::sort_counts(copies, args.experts));
  const Sorted sorted{workspace.take<std::int32_t>(copies), workspace.take<std::int32_t>(copies)};
  runtime.fill(args.sent_NK.raw(), args.sent_NK.bytes(), std::byte{0xff});  // −1
  if (copies == 0) return;
  runtime.fill(reinterpret_cast<std::byte*>(sorted.expert), copies * 4, std::byte{0xff});
  const ValidExpertOf key{id, args.valid_N.defined() ? args.valid_N.data<const std::int32_t>() : nullptr, k,
                          args.experts, GRANULE_FAULT(runtime, "within_capacity: expert {} of {}")};
  gpu::stable_sort(runtime.stream(), copies, args.experts, counts, key, MoveCopy{id, sorted});
  dispatch_float(args.affinity_NE.defined() ? args.affinity_NE.dtype() : DType::f32, [&]<class T>() {
    gpu::launch(runtime.stream(), send_most_affine<T>, gpu::one_warp_each(copies), sorted, copies, k,
                args.experts, args.capacity,
                args.affinity_NE.defined() ? args.affinity_NE.data<const T>() : nullptr,
                args.sent_NK.data<std::int32_t>());
  });
}
std::int64_t limit_workspace(const LimitCapacityArgs& args, int /*threads*/) {
  const std::int64_t copies = args.id_NK.numel();
  return workspace_bytes(
      {{gpu::sort_counts(copies, args.experts), DType::i32}, {copies, DType::i32}, {copies, DType::i32}});
}

const gpu::Kernels kernels([] {
  limit_capacity_kernel.fill(DeviceType::cuda, limit_cuda, limit_workspace);
  return 1;
});

}  // namespace
}  // namespace granule
