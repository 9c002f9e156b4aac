// What a router makes of scores: the logistic function, scores over their sum, and the weights of chosen
// experts.
#include "core/gpu/elementwise.cuh"
#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "moe/ops/gate_weights.hpp"
#include "moe/ops/normalise_rows.hpp"
#include "moe/ops/sigmoid.hpp"

namespace granule {
namespace {

constexpr double kEpsilon = 1e-20;  // as on the CPU

struct Logistic {
  template <class T>
  __device__ T operator()(T x) const {
    return gpu::sigmoid_of(x);
  }
};
struct LogisticSlope {
  template <class T>
  __device__ T operator()(T y, T dy) const {
    return y * (T(1) - y) * dy;
  }
};

/// There is one warp for each row.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    normalise(const T* __restrict__ s, std::int64_t N, std::int64_t E, T* __restrict__ p,
              T* __restrict__ sums) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  T sum = T(0);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) sum += s[row * E + e];
  sum = gpu::over_warp(sum) + static_cast<T>(kEpsilon);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) p[row * E + e] = s[row * E + e] / sum;
  if (gpu::lane_index() == 0) sums[row] = sum;
}

template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    normalise_backward(const T* __restrict__ p, const T* __restrict__ sums, const T* __restrict__ dp,
                       std::int64_t N, std::int64_t E, T beta, T* ds) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  T dot = T(0);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) dot += p[row * E + e] * dp[row * E + e];
  dot = gpu::over_warp(dot);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) {
    const T value = (dp[row * E + e] - dot) / sums[row];
    ds[row * E + e] = beta == T(0) ? value : value + beta * ds[row * E + e];
  }
}

/// There is one thread for each row: a token chooses few experts. `sums` is nullptr if nothing is normalised.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    weigh(const T* __restrict__ s, const std::int32_t* __restrict__ id, std::int64_t N, std::int64_t E,
          std::int64_t K, T factor, T* __restrict__ w, T* __restrict__ sums) {
  const std::int64_t row = gpu::thread_index();
  if (row >= N) return;
  T sum = T(0);
  for (std::int64_t j = row * K; j < (row + 1) * K; ++j) sum += s[row * E + id[j]];
  sum += static_cast<T>(kEpsilon);
  const T scale = sums == nullptr ? factor : factor / sum;
  for (std::int64_t j = row * K; j < (row + 1) * K; ++j) w[j] = s[row * E + id[j]] * scale;
  if (sums != nullptr) sums[row] = sum;
}

/// There is one warp for each row. Experts that were not chosen get 0.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    weigh_backward(const std::int32_t* __restrict__ id, const T* __restrict__ w, const T* __restrict__ sums,
                   const T* __restrict__ dw, std::int64_t N, std::int64_t E, std::int64_t K, T factor, T beta,
                   T* ds) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  if (beta == T(0)) {
    for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) ds[row * E + e] = T(0);
    __syncwarp();
  }
  T dot = T(0);
  for (std::int64_t j = row * K; sums != nullptr && j < (row + 1) * K; ++j) dot += w[j] * dw[j];
  const T scale = sums == nullptr ? T(1) : T(1) / sums[row];
  for (std::int64_t j = row * K + gpu::lane_index(); j < (row + 1) * K; j += gpu::kWarp)
    ds[row * E + id[j]] += (factor * dw[j] - dot) * scale;
}

void normalise_forward(const NormaliseRows::ForwardArgs& args) {
  const std::int64_t N = args.s_NE.shape()[0], E = args.s_NE.shape()[1];
  dispatch_float(args.s_NE.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.s_NE), normalise<T>, gpu::one_warp_each(N), args.s_NE.data<const T>(), N,
                E, args.p_NE.data<T>(), args.sum_N.data<T>());
  });
}
void normalise_rows_backward(const NormaliseRows::BackwardArgs& args) {
  const std::int64_t N = args.dp_NE.shape()[0], E = args.dp_NE.shape()[1];
  dispatch_float(args.dp_NE.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.dp_NE), normalise_backward<T>, gpu::one_warp_each(N),
                args.p_NE.data<const T>(), args.sum_N.data<const T>(), args.dp_NE.data<const T>(), N, E,
                args.ds_NE.beta, args.ds_NE.dst.data<T>());
  });
}

template <class T>
T* data_or_null(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

void gate_forward(const GateWeights::ForwardArgs& args) {
  const std::int64_t N = args.id_NK.shape()[0], K = args.id_NK.shape()[1], E = args.score_NE.shape()[1];
  dispatch_float(args.score_NE.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.id_NK), weigh<T>, gpu::one_thread_each(N), args.score_NE.data<const T>(),
                args.id_NK.data<const std::int32_t>(), N, E, K, args.factor, args.w_NK.data<T>(),
                data_or_null<T>(args.sum_N));
  });
}
void gate_backward(const GateWeights::BackwardArgs& args) {
  const std::int64_t N = args.id_NK.shape()[0], K = args.id_NK.shape()[1], E = args.dscore_NE.dst.shape()[1];
  dispatch_float(args.dw_NK.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.id_NK), weigh_backward<T>, gpu::one_warp_each(N),
                args.id_NK.data<const std::int32_t>(), args.w_NK.data<const T>(),
                data_or_null<const T>(args.sum_N), args.dw_NK.data<const T>(), N, E, K, args.factor,
                args.dscore_NE.beta, args.dscore_NE.dst.data<T>());
  });
}

void sigmoid_forward(const Sigmoid::ForwardArgs& args) {
  dispatch_float(args.x.dtype(), [&]<class T>() { gpu::map_tensors<T>({args.y, 0.0}, Logistic{}, args.x); });
}
void sigmoid_backward(const Sigmoid::BackwardArgs& args) {
  dispatch_float(args.y.dtype(),
                 [&]<class T>() { gpu::map_tensors<T>(args.dx, LogisticSlope{}, args.y, args.dy); });
}

const gpu::Kernels kernels([] {
  constexpr auto kCuda = DeviceType::cuda;
  NormaliseRows::forward_kernel.fill(kCuda, normalise_forward);
  NormaliseRows::backward_kernel.fill(kCuda, normalise_rows_backward);
  GateWeights::forward_kernel.fill(kCuda, gate_forward);
  GateWeights::backward_kernel.fill(kCuda, gate_backward);
  Sigmoid::forward_kernel.fill(kCuda, sigmoid_forward);
  Sigmoid::backward_kernel.fill(kCuda, sigmoid_backward);
  return 6;
});

}  // namespace
}  // namespace granule
