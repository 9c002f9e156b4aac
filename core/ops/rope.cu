#include <numeric>

#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"
#include "core/ops/rope.hpp"

namespace granule {
namespace {

using gpu::Pack;

template <class T>
struct Rotation {
  const T* x;
  const Wide<T>*cos, *sin;
  const std::int32_t* position;
  std::int64_t W, H, P, heads;
  Wide<T> sign;
  T* y;
};

/// There is one block for each row. A thread turns a pack of pairs, or copies a pack of the columns after the
/// heads if y is not x.
template <class T, int kWidth>
__global__ void __launch_bounds__(gpu::kThreads) rotate_rows(Rotation<T> a, gpu::Fault fault) {
  const std::int64_t row = blockIdx.x, at = a.position[row];
  if (at < 0 || at >= a.P) {
    if (threadIdx.x == 0) fault.report(at, row, a.P);
    return;
  }
  const T* const x = a.x + row * a.W;
  T* const y = a.y + row * a.W;
  // A division of 64 bits is a function of its own.
  const int half = static_cast<int>(a.H) / kWidth, turned = static_cast<int>(a.heads) * half;
  const int threads = static_cast<int>(blockDim.x), rest = 2 * turned;
  for (int i = static_cast<int>(threadIdx.x); i < turned; i += threads) {
    const int p = i / half * 2 * half + i % half;
    const auto u = gpu::load_wide<kWidth>(x, p), v = gpu::load_wide<kWidth>(x, p + half);
    const auto c = gpu::load<kWidth>(a.cos + at * a.H, i % half),
               s = gpu::load<kWidth>(a.sin + at * a.H, i % half);
    Pack<Wide<T>, kWidth> first, second;
    for (int j = 0; j < kWidth; ++j) {
      first.value[j] = u.value[j] * c.value[j] - v.value[j] * (s.value[j] * a.sign);
      second.value[j] = v.value[j] * c.value[j] + u.value[j] * (s.value[j] * a.sign);
    }
    gpu::store_rounded(y, p, first);
    gpu::store_rounded(y, p + half, second);
  }
  if (x == y) return;
  for (std::int64_t p = rest + static_cast<int>(threadIdx.x); p < a.W / kWidth; p += threads)
    gpu::store_rounded(y, p, gpu::load_wide<kWidth>(x, p));
}

void rope_cuda(const Rope::Args& args) {
  const std::int64_t N = args.x_NW.shape()[0], W = args.x_NW.shape()[1], P = args.cos_PH.shape()[0],
                     H = args.cos_PH.shape()[1];
  gpu::Runtime& runtime = gpu::runtime_of(args.x_NW);
  const gpu::Fault fault = GRANULE_FAULT(runtime, "rope: position {} of row {}, the table has {}");
  dispatch_storage(args.x_NW.dtype(), [&]<class T>() {
    const Wide<T> sign = args.turn == Rope::Turn::forwards ? Wide<T>(1) : Wide<T>(-1);
    const Rotation<T> all{args.x_NW.data<const T>(),
                          args.cos_PH.data<const Wide<T>>(),
                          args.sin_PH.data<const Wide<T>>(),
                          args.position_N.data<const std::int32_t>(),
                          W,
                          H,
                          P,
                          args.heads,
                          sign,
                          args.y_NW.data<T>()};
    const auto launch = [&]<int kWidth>() {
      gpu::launch(runtime.stream(), rotate_rows<T, kWidth>, {N, 1, gpu::threads_for_row(W / kWidth / 2)}, all,
                  fault);
    };
    // Every row and half a head must begin at 16 bytes.
    gpu::dispatch_width<T>(std::gcd(W, H), launch, all.x, all.cos, all.sin, all.y);
  });
}

const gpu::Kernels kernels([] {
  Rope::kernel.fill(DeviceType::cuda, rope_cuda);
  return 1;
});

}  // namespace
}  // namespace granule
