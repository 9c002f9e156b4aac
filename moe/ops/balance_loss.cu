#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "moe/ops/balance_loss.hpp"

namespace granule {
namespace {

using ForwardArgs = BalanceLoss::ForwardArgs;
using BackwardArgs = BalanceLoss::BackwardArgs;

constexpr std::int64_t kRows = 64;  // rows of a unit whose weighted scores one block sums

__device__ bool is_token(const std::int32_t* valid, std::int64_t row) {
  return valid == nullptr || valid[row] != 0;
}
const std::int32_t* data_of_valid(const Tensor& valid_N) {
  return valid_N.defined() ? valid_N.data<const std::int32_t>() : nullptr;
}

struct Units {
  const std::int64_t* count;
  const std::int32_t* valid;
  std::int64_t units, rows, experts, choices, devices;  // rows of a unit
};

/// f̄_ue / (T U), the factor of a score's gradient; 0 for a unit without a token. There is one block for each
/// unit.
__global__ void __launch_bounds__(gpu::kThreads) find_weights(Units a, double* __restrict__ weight) {
  const std::int64_t u = blockIdx.x;
  double tokens = 0.0;
  for (std::int64_t i = threadIdx.x; i < a.rows; i += blockDim.x)
    tokens += is_token(a.valid, u * a.rows + i) ? 1.0 : 0.0;
  tokens = gpu::over_block(tokens);
  const double scale = tokens == 0.0
                           ? 0.0
                           : static_cast<double>(a.experts) / (static_cast<double>(a.choices) * tokens) /
                                 (tokens * static_cast<double>(a.units));
  const std::int64_t group = a.devices > 0 ? a.experts / a.devices : 1;
  for (std::int64_t e = threadIdx.x; e < a.experts; e += blockDim.x) {
    double sum = 0.0;
    for (std::int64_t other = e / group * group; other < e / group * group + group; ++other)
      sum += scale * static_cast<double>(a.count[u * a.experts + other]);
    weight[u * a.experts + e] = sum / static_cast<double>(group);
  }
}

/// Block (x, y) sums weight ∘ score over the x-th kRows rows of unit y.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    sum_scores(Units a, const T* __restrict__ score, const double* __restrict__ weight,
               double* __restrict__ partial) {
  const std::int64_t u = blockIdx.y, begin = blockIdx.x * kRows;
  const std::int64_t end = begin + kRows < a.rows ? begin + kRows : a.rows;
  double sum = 0.0;
  for (std::int64_t i = begin * a.experts + threadIdx.x; i < end * a.experts; i += blockDim.x) {
    const std::int64_t row = u * a.rows + i / a.experts;
    if (is_token(a.valid, row))
      sum += weight[u * a.experts + i % a.experts] * static_cast<double>(score[u * a.rows * a.experts + i]);
  }
  sum = gpu::over_block(sum);
  if (threadIdx.x == 0) partial[u * gridDim.x + blockIdx.x] = sum;
}

struct Total {
  double* y;
  __device__ void operator()(double sum) const { *y = sum; }
};

template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    gradient(const double* __restrict__ weight, const std::int32_t* __restrict__ valid,
             const double* __restrict__ dy, std::int64_t N, std::int64_t E, std::int64_t rows, T beta,
             T* ds) {
  const std::int64_t i = gpu::thread_index(), row = i / E;
  if (i >= N * E) return;
  const T value = static_cast<T>(is_token(valid, row) ? *dy * weight[row / rows * E + i % E] : 0.0);
  ds[i] = beta == T(0) ? value : value + beta * ds[i];
}

std::int64_t rows_of_unit(const Tensor& of_NE, std::int64_t units) {
  return units > 0 ? of_NE.shape()[0] / units : 0;
}
std::int64_t parts_of_unit(const ForwardArgs& args) {
  return gpu::ceil_div(rows_of_unit(args.score_NE, args.count_UE.shape()[0]), kRows);
}

void forward_cuda(const ForwardArgs& args, Workspace& workspace) {
  const std::int64_t units = args.count_UE.shape()[0], experts = args.count_UE.shape()[1],
                     parts = parts_of_unit(args);
  const cudaStream_t stream = gpu::stream_of(args.y);
  const Units all{args.count_UE.data<const std::int64_t>(),
                  data_of_valid(args.valid_N),
                  units,
                  rows_of_unit(args.score_NE, units),
                  experts,
                  args.choices,
                  args.devices};
  auto *const partial = workspace.take<double>(units * parts), *const weight = args.weight_UE.data<double>();
  gpu::launch(stream, find_weights, {units, 1, gpu::threads_for_row(std::max(all.rows, experts))}, all,
              weight);
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    gpu::launch(stream, sum_scores<T>, {parts, units, gpu::threads_for_row(kRows * experts)}, all,
                args.score_NE.data<const T>(), weight, partial);
  });
  gpu::launch(stream, gpu::finish_sum<Total>, {1, 1, gpu::threads_for_row(units * parts)}, partial,
              units * parts, Total{args.y.data<double>()});
}
std::int64_t forward_workspace(const ForwardArgs& args, int /*threads*/) {
  return workspace_bytes({{args.count_UE.shape()[0] * parts_of_unit(args), DType::f64}});
}

void backward_cuda(const BackwardArgs& args) {
  const Tensor& ds = args.dscore_NE.dst;
  const std::int64_t N = ds.shape()[0], E = ds.shape()[1];
  dispatch_float(ds.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(ds), gradient<T>, gpu::one_thread_each(N * E),
                args.weight_UE.data<const double>(), data_of_valid(args.valid_N),
                args.dy.data<const double>(), N, E, rows_of_unit(ds, args.weight_UE.shape()[0]),
                args.dscore_NE.beta, ds.data<T>());
  });
}

const gpu::Kernels kernels([] {
  BalanceLoss::forward_kernel.fill(DeviceType::cuda, forward_cuda, forward_workspace);
  BalanceLoss::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
