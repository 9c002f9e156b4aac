// Rows of SwiGLU, for the operator of that name and for experts (core/kernels/swiglu.hpp).
#pragma once
#include "core/gpu/math.cuh"
#include "core/gpu/vector.cuh"

namespace granule::gpu {

/// A thread has one pack of y.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    swiglu_packs(const T* __restrict__ h, std::int64_t rows, std::int64_t F, T* __restrict__ y) {
  const std::int64_t packs = F / kWidth, i = thread_index();
  if (i >= rows * packs) return;
  const std::int64_t row = i / packs, p = i % packs;
  const auto g = load_wide<kWidth>(h + row * 2 * F, p);
  auto u = load_wide<kWidth>(h + row * 2 * F + F, p);
  for (int j = 0; j < kWidth; ++j) u.value[j] *= g.value[j] * sigmoid_of(g.value[j]);
  store_rounded(y + row * F, p, u);
}

/// A thread has one pack of dy, and writes two of dh.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_packs(const T* __restrict__ h, const T* __restrict__ dy, std::int64_t rows,
                          std::int64_t F, Wide<T> beta, T* dh) {
  const std::int64_t packs = F / kWidth, i = thread_index();
  if (i >= rows * packs) return;
  const std::int64_t row = i / packs, p = i % packs;
  const T* const gate = h + row * 2 * F;
  T* const dgate = dh + row * 2 * F;
  using W = Wide<T>;
  const auto g = load_wide<kWidth>(gate, p), u = load_wide<kWidth>(gate + F, p),
             d = load_wide<kWidth>(dy + row * F, p);
  Pack<W, kWidth> dg{}, du{};
  if (beta != W(0)) {
    dg = load_wide<kWidth>(dgate, p);
    du = load_wide<kWidth>(dgate + F, p);
  }
  for (int j = 0; j < kWidth; ++j) {
    const W x = g.value[j], s = sigmoid_of(x);
    dg.value[j] = beta * dg.value[j] + d.value[j] * u.value[j] * s * (W(1) + x * (W(1) - s));
    du.value[j] = beta * du.value[j] + d.value[j] * x * s;
  }
  store_rounded(dgate, p, dg);
  store_rounded(dgate + F, p, du);
}

/// y[rows, F] = silu(g) ∘ u of h[rows, 2F] = [g | u].
template <class T>
void swiglu_rows(cudaStream_t stream, const T* h, std::int64_t rows, std::int64_t F, T* y) {
  const auto run = [&]<int kWidth>() {
    launch(stream, swiglu_packs<T, kWidth>, one_thread_each(rows * (F / kWidth)), h, rows, F, y);
  };
  dispatch_width<T>(F, run, h, y);
}

/// dh[rows, 2F] = [dy ∘ u ∘ silu'(g) | dy ∘ silu(g)] + beta dh; beta 0 does not read dh.
template <class T>
void swiglu_rows_backward(cudaStream_t stream, const T* h, const T* dy, std::int64_t rows, std::int64_t F,
                          double beta, T* dh) {
  const auto run = [&]<int kWidth>() {
    launch(stream, swiglu_backward_packs<T, kWidth>, one_thread_each(rows * (F / kWidth)), h, dy, rows, F,
           beta, dh);
  };
  dispatch_width<T>(F, run, h, dy, dh);
}

}  // namespace granule::gpu
