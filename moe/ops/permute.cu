#include "core/gpu/reduce.cuh"
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "moe/ops/permute.hpp"

namespace granule {
namespace {

using gpu::Pack;

/// There is one block for each row.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    gather_rows(const T* __restrict__ x, const std::int32_t* __restrict__ token, std::int64_t D,
                T* __restrict__ y) {
  const T* const from = x + token[blockIdx.x] * D;
  T* const to = y + blockIdx.x * D;
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += blockDim.x)
    gpu::store(to, p, gpu::load<kWidth>(from, p));
}

/// There is one block for each token. Copies are added in their order. Without weights all are 1.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads)
    sum_copies_of(const T* __restrict__ x, const Wide<T>* __restrict__ w,
                  const std::int32_t* __restrict__ place, std::int64_t K, std::int64_t D, Wide<T> beta,
                  T* y) {
  using W = Wide<T>;
  place += blockIdx.x * K;
  T* const to = y + blockIdx.x * D;
  for (std::int64_t p = threadIdx.x; p < D / kWidth; p += blockDim.x) {
    Pack<W, kWidth> sum{};
    if (beta != W(0)) sum = gpu::load_wide<kWidth>(to, p);
#pragma unroll 2  // with more copies at once, some would not be in registers
    for (std::int64_t k = 0; k < K; ++k) {
      if (place[k] < 0) continue;
      const W factor = w == nullptr ? W(1) : w[blockIdx.x * K + k];
      const auto row = gpu::load_wide<kWidth>(x + place[k] * D, p);
      for (int j = 0; j < kWidth; ++j) sum.value[j] += factor * row.value[j];
    }
    gpu::store_rounded(to, p, sum);
  }
}

template <class T>
struct CombineGradient {
  const T *x, *dy;
  const Wide<T>* w;
  const std::int32_t* place;
  std::int64_t K, D;
  T* dx;  // nullptr: not wanted, as in dw
  Wide<T>* dw;
  Wide<T> dx_beta, dw_beta;
};

/// There is one block for each copy. It writes the copy's row of dx, and ⟨x, dy⟩.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads) combine_backward(CombineGradient<T> a) {
  using W = Wide<T>;
  const std::int64_t copy = blockIdx.x, place = a.place[copy];
  W product = W(0);
  if (place >= 0) {
    const T *const x = a.x + place * a.D, *const dy = a.dy + copy / a.K * a.D;
    T* const dx = a.dx == nullptr ? nullptr : a.dx + place * a.D;
    const W w = a.w[copy];
    for (std::int64_t p = threadIdx.x; p < a.D / kWidth; p += blockDim.x) {
      const auto u = gpu::load_wide<kWidth>(x, p), g = gpu::load_wide<kWidth>(dy, p);
      Pack<W, kWidth> out{};
      if (dx != nullptr && a.dx_beta != W(0)) out = gpu::load_wide<kWidth>(dx, p);
      for (int j = 0; j < kWidth; ++j) {
        product += u.value[j] * g.value[j];
        out.value[j] = a.dx_beta * out.value[j] + w * g.value[j];
      }
      if (dx != nullptr) gpu::store_rounded(dx, p, out);
    }
  }
  product = gpu::over_block(product);
  if (threadIdx.x == 0 && a.dw != nullptr)
    a.dw[copy] = a.dw_beta == W(0) ? product : product + a.dw_beta * a.dw[copy];
}

void gather_cuda(const Dispatch::ForwardArgs& args) {
  const std::int64_t D = args.x_ND.shape()[1];
  dispatch_storage(args.x_ND.dtype(), [&]<class T>() {
    const T* x = args.x_ND.data<const T>();
    T* y = args.y_RD.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.x_ND), gather_rows<T, kWidth>,
                  {args.token_R.numel(), 1, gpu::threads_for_row(D / kWidth)}, x,
                  args.token_R.data<const std::int32_t>(), D, y);
    };
    gpu::dispatch_width<T>(D, launch, x, y);
  });
}

void sum_copies_cuda(const SumCopiesArgs& args) {
  const std::int64_t N = args.row_NK.shape()[0], K = args.row_NK.shape()[1], D = args.x_RD.shape()[1];
  dispatch_storage(args.x_RD.dtype(), [&]<class T>() {
    const T* x = args.x_RD.data<const T>();
    const Wide<T>* w = args.w_NK.defined() ? args.w_NK.data<const Wide<T>>() : nullptr;
    T* y = args.y_ND.dst.data<T>();
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.x_RD), sum_copies_of<T, kWidth>,
                  {N, 1, gpu::threads_for_row(D / kWidth)}, x, w, args.row_NK.data<const std::int32_t>(), K,
                  D, args.y_ND.beta, y);
    };
    gpu::dispatch_width<T>(D, launch, x, y);
  });
}

void combine_backward_cuda(const Combine::BackwardArgs& args) {
  const std::int64_t D = args.dy_ND.shape()[1];
  dispatch_storage(args.dy_ND.dtype(), [&]<class T>() {
    const CombineGradient<T> all{args.x_RD.data<const T>(),
                                 args.dy_ND.data<const T>(),
                                 args.w_NK.data<const Wide<T>>(),
                                 args.row_NK.data<const std::int32_t>(),
                                 args.row_NK.shape()[1],
                                 D,
                                 args.dx_RD ? args.dx_RD.dst.data<T>() : nullptr,
                                 args.dw_NK ? args.dw_NK.dst.data<Wide<T>>() : nullptr,
                                 static_cast<Wide<T>>(args.dx_RD.beta),
                                 static_cast<Wide<T>>(args.dw_NK.beta)};
    const auto launch = [&]<int kWidth>() {
      gpu::launch(gpu::stream_of(args.dy_ND), combine_backward<T, kWidth>,
                  {args.row_NK.numel(), 1, gpu::threads_for_row(D / kWidth)}, all);
    };
    gpu::dispatch_width<T>(D, launch, all.x, all.dy, all.dx);
  });
}

const gpu::Kernels kernels([] {
  Dispatch::forward_kernel.fill(DeviceType::cuda, gather_cuda);
  sum_copies_kernel.fill(DeviceType::cuda, sum_copies_cuda);
  Combine::backward_kernel.fill(DeviceType::cuda, combine_backward_cuda);
  return 3;
});

}  // namespace
}  // namespace granule
