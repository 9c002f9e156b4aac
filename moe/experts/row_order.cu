#include "core/gpu/runtime.cuh"
#include "core/gpu/stable_sort.cuh"
#include "moe/experts/row_order.hpp"

namespace granule {
namespace {

/// The expert of a copy; −1 for a copy that is sent nowhere.
struct ExpertOf {
  const std::int32_t* id;
  std::int64_t experts;
  gpu::Fault fault;
  __device__ int operator()(std::int64_t copy) const {
    const std::int32_t expert = id[copy];
    if (expert >= -1 && expert < experts) return expert;
    fault.report(expert, experts);
    return -1;
  }
};

/// offset[e] is where the first tile's copies of expert e begin, and the last offset is where everything
/// ends.
__global__ void __launch_bounds__(gpu::kThreads)
    write_offsets(const int* __restrict__ starts, std::int64_t tiles, const std::int32_t* __restrict__ id,
                  std::int64_t copies, std::int64_t experts, std::int64_t* __restrict__ offset) {
  int sent = 0;
  for (std::int64_t base = 0; base < copies; base += blockDim.x) {
    const std::int64_t i = base + threadIdx.x;
    sent += __syncthreads_count(i < copies && id[i] >= 0 && id[i] < experts ? 1 : 0);
  }
  for (std::int64_t e = threadIdx.x; e <= experts; e += blockDim.x)
    offset[e] = e < experts && tiles > 0 ? starts[e * tiles] : sent;
}

ExpertOf expert_of(const Tensor& id_NK, std::int64_t experts) {
  return {id_NK.data<const std::int32_t>(), experts,
          GRANULE_FAULT(gpu::runtime_of(id_NK), "sort_by_expert: expert {} of {}")};
}

void expert_offsets_cuda(const ExpertOffsetsArgs& args, Workspace& workspace) {
  const std::int64_t copies = args.id_NK.numel(), experts = args.offset_E1.numel() - 1;
  const cudaStream_t stream = gpu::stream_of(args.offset_E1);
  auto* const counts = workspace.take<std::int32_t>(gpu::sort_counts(copies, experts));
  gpu::find_starts(stream, copies, experts, counts, expert_of(args.id_NK, experts));
  gpu::launch(stream, write_offsets, {1}, counts, gpu::ceil_div(copies, gpu::kItemsOfTile),
              args.id_NK.data<const std::int32_t>(), copies, experts, args.offset_E1.data<std::int64_t>());
}
std::int64_t expert_offsets_workspace(const ExpertOffsetsArgs& args, int /*threads*/) {
  return workspace_bytes({{gpu::sort_counts(args.id_NK.numel(), args.offset_E1.numel() - 1), DType::i32}});
}

/// Copies that are sent to nobody have no row.
struct PlaceCopy {
  std::int64_t k, rows;
  gpu::Fault fault;
  std::int32_t *token, *row;
  __device__ void operator()(std::int64_t copy, int place) const {
    if (place >= rows) return fault.report(place + 1, rows);
    token[place] = static_cast<std::int32_t>(copy / k);
    row[copy] = place;
  }
};

/// There must be as many copies as rows.
__global__ void __launch_bounds__(gpu::kWarp)
    check_rows(const std::int64_t* __restrict__ offset, std::int64_t experts, std::int64_t rows,
               gpu::Fault fault) {
  if (threadIdx.x == 0 && offset[experts] != rows) fault.report(offset[experts], rows);
}

void place_copies_cuda(const PlaceCopiesArgs& args, Workspace& workspace) {
  const std::int64_t copies = args.id_NK.numel(), experts = args.offset_E1.numel() - 1,
                     rows = args.token_R.numel();
  gpu::Runtime& runtime = gpu::runtime_of(args.row_NK);
  const gpu::Fault fault = GRANULE_FAULT(runtime, "sort_by_expert: {} copies are sent, not {}");
  auto* const counts = workspace.take<std::int32_t>(gpu::sort_counts(copies, experts));
  gpu::launch(runtime.stream(), check_rows, {1, 1, gpu::kWarp}, args.offset_E1.data<const std::int64_t>(),
              experts, rows, fault);
  runtime.fill(args.row_NK.raw(), args.row_NK.bytes(), std::byte{0xff});  // −1
  gpu::stable_sort(runtime.stream(), copies, experts, counts, expert_of(args.id_NK, experts),
                   PlaceCopy{args.id_NK.shape()[1], rows, fault, args.token_R.data<std::int32_t>(),
                             args.row_NK.data<std::int32_t>()});
}
std::int64_t place_copies_workspace(const PlaceCopiesArgs& args, int /*threads*/) {
  return workspace_bytes({{gpu::sort_counts(args.id_NK.numel(), args.offset_E1.numel() - 1), DType::i32}});
}

const gpu::Kernels kernels([] {
  expert_offsets_kernel.fill(DeviceType::cuda, expert_offsets_cuda, expert_offsets_workspace);
  place_copies_kernel.fill(DeviceType::cuda, place_copies_cuda, place_copies_workspace);
  return 2;
});

}  // namespace
}  // namespace granule
