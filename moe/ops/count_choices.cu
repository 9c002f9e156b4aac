#include "core/gpu/runtime.cuh"
#include "moe/ops/count_choices.hpp"

namespace granule {
namespace {

using Counter = unsigned long long;  // the type of CUDA's atomics of 64 bits; sums of integers have no order

struct Choices {
  const std::int32_t *id, *sent, *valid;  // sent nullptr: every choice counts, else those that were not sent
  std::int64_t copies, k, rows, experts;  // rows of a unit
};

/// A thread has one choice.
__global__ void __launch_bounds__(gpu::kThreads) add_choices(Choices a, gpu::Fault fault, Counter* count_UE) {
  const std::int64_t i = gpu::thread_index(), row = i / a.k;
  if (i >= a.copies || (a.valid != nullptr && a.valid[row] == 0) || (a.sent != nullptr && a.sent[i] >= 0))
    return;
  const std::int32_t expert = a.id[i];
  if (expert < 0 || expert >= a.experts) return fault.report(expert, a.experts);
  atomicAdd(count_UE + row / a.rows * a.experts + expert, Counter{1});
}

__global__ void __launch_bounds__(gpu::kThreads)
    add_units(const std::int64_t* __restrict__ count, std::int64_t units, std::int64_t experts,
              std::int64_t* __restrict__ total) {
  const std::int64_t expert = gpu::thread_index();
  if (expert >= experts) return;
  std::int64_t sum = 0;
  for (std::int64_t unit = 0; unit < units; ++unit) sum += count[unit * experts + expert];
  total[expert] = sum;
}

const std::int32_t* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<const std::int32_t>() : nullptr;
}

void count_into(const Tensor& id_NK, const Tensor& sent_NK, const Tensor& valid_N, std::int64_t units,
                const Tensor& count) {
  gpu::Runtime& runtime = gpu::runtime_of(count);
  const std::int64_t N = id_NK.shape()[0], experts = units > 0 ? count.numel() / units : 0;
  const Choices all{data_or_null(id_NK),
                    data_or_null(sent_NK),
                    data_or_null(valid_N),
                    id_NK.numel(),
                    id_NK.shape()[1],
                    units > 0 ? N / units : 0,
                    experts};
  runtime.fill(count.raw(), count.bytes(), std::byte{0});
  gpu::launch(runtime.stream(), add_choices, gpu::one_thread_each(all.copies), all,
              GRANULE_FAULT(runtime, "count_choices: expert {} of {}"),
              reinterpret_cast<Counter*>(count.data<std::int64_t>()));
}

void sum_units_cuda(const SumUnitsArgs& args) {
  gpu::launch(gpu::stream_of(args.count_UE), add_units, gpu::one_thread_each(args.total_1E.numel()),
              args.count_UE.data<const std::int64_t>(), args.count_UE.shape()[0], args.total_1E.numel(),
              args.total_1E.data<std::int64_t>());
}

const gpu::Kernels kernels([] {
  count_choices_kernel.fill(DeviceType::cuda, [](const CountChoicesArgs& args) {
    count_into(args.id_NK, {}, args.valid_N, args.count_UE.shape()[0], args.count_UE);
  });
  count_dropped_kernel.fill(DeviceType::cuda, [](const CountDroppedArgs& args) {
    count_into(args.id_NK, args.sent_NK, args.valid_N, 1, args.dropped_E);
  });
  sum_units_kernel.fill(DeviceType::cuda, sum_units_cuda);
  return 3;
});

}  // namespace
}  // namespace granule
