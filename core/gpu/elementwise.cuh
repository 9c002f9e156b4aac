// Elementwise kernels from a formula: y_i = f(in_i…) + beta y_i. A formula is a struct that a device can
// call. It takes and returns what elements are widened to.
#pragma once
#include "core/gpu/runtime.cuh"
#include "core/gpu/vector.cuh"

namespace granule::gpu {

/// A thread has one pack. The elements after the last whole pack are the last thread's.
template <class T, int kWidth, class F, class... In>
__global__ void __launch_bounds__(kThreads)
    map_packs(std::int64_t n, F f, T* y, Wide<T> beta, const In*... in) {
  const std::int64_t p = thread_index(), begin = p * kWidth;
  if (begin >= n) return;
  if (begin + kWidth > n) {
    for (std::int64_t i = begin; i < n; ++i) write<T>(y + i, f(wide(in[i])...), beta);
    return;
  }
  Pack<Wide<T>, kWidth> out{};
  if (beta != Wide<T>(0)) out = load_wide<kWidth>(y, p);
  map_pack<kWidth>(out, f, beta, load_wide<kWidth>(in, p)...);
  store_rounded(y, p, out);
}

/// y_i = f(in_i…) + beta y_i over n elements. Beta 0 does not read y.
template <class T, class F, class... In>
void map_elements(cudaStream_t stream, std::int64_t n, const F& f, T* y, double beta, const In*... in) {
  // A formula of several float64 numbers at once would need more registers than there are.
  constexpr int kWidest = sizeof(T) < 8 ? static_cast<int>(16 / std::min({sizeof(T), sizeof(In)...})) : 1;
  const auto run = [&]<int kWidth>() {
    launch(stream, map_packs<T, kWidth, F, In...>, one_thread_each(ceil_div(n, kWidth)), n, f, y, beta,
           in...);
  };
  are_aligned(y, in...) ? run.template operator()<kWidest>() : run.template operator()<1>();
}
/// The same of whole tensors: y of dtype T, and inputs of dtype In.
template <class T, class In = T, class F, class... Tensors>
void map_tensors(const Grad& y, const F& f, const Tensors&... in) {
  map_elements(stream_of(y.dst), y.dst.numel(), f, y.dst.data<T>(), y.beta, in.template data<const In>()...);
}

}  // namespace granule::gpu
