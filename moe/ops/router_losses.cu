// Losses and figures of a router. Their sums have two stages, whose order depends on the shapes alone.
#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "moe/ops/add_scaled.hpp"
#include "moe/ops/gradient_shares.hpp"
#include "moe/ops/router_z.hpp"
#include "moe/ops/score_entropy.hpp"

namespace granule {
namespace {

__device__ bool is_token(const std::int32_t* valid, std::int64_t row) {
  return valid == nullptr || valid[row] != 0;
}
const std::int32_t* data_of_valid(const Tensor& valid_N) {
  return valid_N.defined() ? valid_N.data<const std::int32_t>() : nullptr;
}

/// log Σ exp of one row, found by a warp.
template <class T>
__device__ double log_sum_of_row(const T* __restrict__ row, std::int64_t E) {
  T most = gpu::minus_infinity<T>();
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) most = gpu::larger(most, row[e]);
  most = gpu::over_warp(most, gpu::Maximum{});
  double sum = 0.0;
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp)
    sum += static_cast<double>(gpu::exp_of(row[e] - most));
  return log(gpu::over_warp(sum)) + static_cast<double>(most);
}

template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    find_log_sums(const T* __restrict__ logits, std::int64_t N, std::int64_t E, double* __restrict__ z) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  const double found = log_sum_of_row(logits + row * E, E);
  if (gpu::lane_index() == 0) z[row] = found;
}

/// Writes the mean of z² over tokens, or with no z the share of one token. It runs as one block.
__global__ void __launch_bounds__(gpu::kThreads)
    mean_of_tokens(const double* __restrict__ z, const std::int32_t* __restrict__ valid, std::int64_t N,
                   double* __restrict__ y) {
  double sum = 0.0, tokens = 0.0;
  for (std::int64_t i = threadIdx.x; i < N; i += blockDim.x) {
    if (!is_token(valid, i)) continue;
    tokens += 1.0;
    sum += z == nullptr ? 0.0 : z[i] * z[i];
  }
  sum = gpu::over_block(sum);
  tokens = gpu::over_block(tokens);
  if (threadIdx.x != 0) return;
  *y = tokens == 0.0 ? 0.0 : (z == nullptr ? 1.0 : sum) / tokens;
}

template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    z_gradient(const T* __restrict__ logits, const double* __restrict__ z,
               const std::int32_t* __restrict__ valid, const double* __restrict__ share,
               const double* __restrict__ dy, std::int64_t N, std::int64_t E, T beta, T* dlogits) {
  const std::int64_t i = gpu::thread_index(), row = i / E;
  if (i >= N * E) return;
  const T scale = static_cast<T>(is_token(valid, row) ? 2.0 * *dy * z[row] * *share : 0.0);
  const T value = scale * gpu::exp_of(logits[i] - static_cast<T>(z[row]));
  dlogits[i] = beta == T(0) ? value : value + beta * dlogits[i];
}

void z_forward(const RouterZ::ForwardArgs& args) {
  const std::int64_t N = args.logit_NE.shape()[0], E = args.logit_NE.shape()[1];
  const cudaStream_t stream = gpu::stream_of(args.y);
  dispatch_float(args.logit_NE.dtype(), [&]<class T>() {
    gpu::launch(stream, find_log_sums<T>, gpu::one_warp_each(N), args.logit_NE.data<const T>(), N, E,
                args.z_N.data<double>());
  });
  gpu::launch(stream, mean_of_tokens, {1, 1, gpu::threads_for_row(N)}, args.z_N.data<const double>(),
              data_of_valid(args.valid_N), N, args.y.data<double>());
}

void z_backward(const RouterZ::BackwardArgs& args, Workspace& workspace) {
  const std::int64_t N = args.logit_NE.shape()[0], E = args.logit_NE.shape()[1];
  const cudaStream_t stream = gpu::stream_of(args.dy);
  auto* const share = workspace.take<double>(1);
  gpu::launch(stream, mean_of_tokens, {1, 1, gpu::threads_for_row(N)}, nullptr, data_of_valid(args.valid_N),
              N, share);
  dispatch_float(args.logit_NE.dtype(), [&]<class T>() {
    gpu::launch(stream, z_gradient<T>, gpu::one_thread_each(N * E), args.logit_NE.data<const T>(),
                args.z_N.data<const double>(), data_of_valid(args.valid_N), share,
                args.dy.data<const double>(), N, E, args.dlogit_NE.beta, args.dlogit_NE.dst.data<T>());
  });
}

struct Total {
  double* y;
  __device__ void operator()(double sum) const { *y = sum; }
};
struct Addition {
  double* y;
  __device__ void operator()(double sum) const { *y += sum; }
};

/// With σ = Σ s: −Σ (s/σ) log(s/σ) = log σ − Σ s log s / σ. There is one warp for each row.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    find_entropies(const T* __restrict__ s, const std::int32_t* __restrict__ valid, std::int64_t N,
                   std::int64_t E, double* __restrict__ entropy) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  T sum = T(0), weighted = T(0);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) {
    const T value = s[row * E + e];
    sum += value;
    weighted += value > T(0) ? value * gpu::log_of(value) : T(0);
  }
  sum = gpu::over_warp(sum);
  weighted = gpu::over_warp(weighted);
  if (gpu::lane_index() != 0) return;
  const bool counts = is_token(valid, row) && sum > T(0);
  entropy[row] = counts ? static_cast<double>(gpu::log_of(sum) - weighted / sum) : 0.0;
}

void entropy_cuda(const ScoreEntropyArgs& args, Workspace& workspace) {
  const std::int64_t N = args.score_NE.shape()[0], E = args.score_NE.shape()[1];
  const cudaStream_t stream = gpu::stream_of(args.entropy);
  auto* const rows = workspace.take<double>(N);
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    gpu::launch(stream, find_entropies<T>, gpu::one_warp_each(N), args.score_NE.data<const T>(),
                data_of_valid(args.valid_N), N, E, rows);
  });
  gpu::launch(stream, gpu::finish_sum<Total>, {1, 1, gpu::threads_for_row(N)}, rows, N,
              Total{args.entropy.data<double>()});
}
std::int64_t entropy_workspace(const ScoreEntropyArgs& args, int /*threads*/) {
  return workspace_bytes({{args.score_NE.shape()[0], DType::f64}});
}

template <class T>
struct OfBalance {
  const T* part;
  __device__ double operator()(std::int64_t i) const {
    const double value = static_cast<double>(part[i]);
    return value * value;
  }
};
template <class T>
struct OfTheRest {
  const T *all, *part;
  __device__ double operator()(std::int64_t i) const {
    const double value = static_cast<double>(all[i]) - static_cast<double>(part[i]);
    return value * value;
  }
};

void shares_cuda(const GradientSharesArgs& args, Workspace& workspace) {
  const std::int64_t n = args.gradient.numel();
  const cudaStream_t stream = gpu::stream_of(args.sum_2);
  auto *const partial = workspace.take<double>(gpu::partial_sums(n)), *const sums = args.sum_2.data<double>();
  dispatch_float(args.gradient.dtype(), [&]<class T>() {
    const T *all = args.gradient.data<const T>(), *part = args.of_balance.data<const T>();
    gpu::sum(stream, n, partial, OfBalance<T>{part}, Addition{sums});
    gpu::sum(stream, n, partial, OfTheRest<T>{all, part}, Addition{sums + 1});
  });
}
std::int64_t shares_workspace(const GradientSharesArgs& args, int /*threads*/) {
  return workspace_bytes({{gpu::partial_sums(args.gradient.numel()), DType::f64}});
}

__global__ void __launch_bounds__(gpu::kWarp)
    add_scaled(const double* __restrict__ value, double factor, double* sum) {
  if (threadIdx.x == 0) *sum += *value * factor;
}
void add_scaled_cuda(const AddScaledArgs& args) {
  gpu::launch(gpu::stream_of(args.sum), add_scaled, {1, 1, gpu::kWarp}, args.value.data<const double>(),
              args.factor, args.sum.data<double>());
}

const gpu::Kernels kernels([] {
  constexpr auto kCuda = DeviceType::cuda;
  RouterZ::forward_kernel.fill(kCuda, z_forward);
  RouterZ::backward_kernel.fill(kCuda, z_backward,
                                [](const RouterZ::BackwardArgs& /*args*/, int /*threads*/) {
                                  return workspace_bytes({{1, DType::f64}});
                                });
  score_entropy_kernel.fill(kCuda, entropy_cuda, entropy_workspace);
  gradient_shares_kernel.fill(kCuda, shares_cuda, shares_workspace);
  add_scaled_kernel.fill(kCuda, add_scaled_cuda);
  return 5;
});

}  // namespace
}  // namespace granule
