#include "core/gpu/math.cuh"
#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/ops/softmax.hpp"

namespace granule {
namespace {

/// There is one warp for each row: rows are as long as there are experts.
template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    forward_rows(const T* __restrict__ x, std::int64_t N, std::int64_t E, T* __restrict__ y) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  x += row * E;
  y += row * E;
  T most = gpu::minus_infinity<T>();
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) most = gpu::larger(most, x[e]);
  most = gpu::over_warp(most, gpu::Maximum{});
  double sum = 0.0;
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp)
    sum += static_cast<double>(gpu::exp_of(x[e] - most));
  const T inverse = static_cast<T>(1.0 / gpu::over_warp(sum));
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) y[e] = gpu::exp_of(x[e] - most) * inverse;
}

template <class T>
__global__ void __launch_bounds__(gpu::kThreads)
    backward_rows(const T* __restrict__ y, const T* __restrict__ dy, std::int64_t N, std::int64_t E, T beta,
                  T* dx) {
  const std::int64_t row = gpu::warp_index();
  if (row >= N) return;
  T dot = T(0);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) dot += y[row * E + e] * dy[row * E + e];
  dot = gpu::over_warp(dot);
  for (std::int64_t e = gpu::lane_index(); e < E; e += gpu::kWarp) {
    const std::int64_t i = row * E + e;
    const T value = y[i] * (dy[i] - dot);
    dx[i] = beta == T(0) ? value : value + beta * dx[i];
  }
}

void forward_cuda(const Softmax::ForwardArgs& args) {
  const std::int64_t N = args.x.shape()[0], E = args.x.shape()[1];
  dispatch_float(args.x.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.x), forward_rows<T>, gpu::one_warp_each(N), args.x.data<const T>(), N, E,
                args.y.data<T>());
  });
}

void backward_cuda(const Softmax::BackwardArgs& args) {
  const std::int64_t N = args.y.shape()[0], E = args.y.shape()[1];
  dispatch_float(args.y.dtype(), [&]<class T>() {
    gpu::launch(gpu::stream_of(args.y), backward_rows<T>, gpu::one_warp_each(N), args.y.data<const T>(),
                args.dy.data<const T>(), N, E, args.dx.beta, args.dx.dst.data<T>());
  });
}

const gpu::Kernels kernels([] {
  Softmax::forward_kernel.fill(DeviceType::cuda, forward_cuda);
  Softmax::backward_kernel.fill(DeviceType::cuda, backward_cuda);
  return 2;
});

}  // namespace
}  // namespace granule
