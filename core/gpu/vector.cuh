// Loads and stores several elements of a row at once: 16 bytes, the widest access of a device.
#pragma once
#include <cstdint>

#include "core/gpu/launch.cuh"

namespace granule::gpu {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T value[kWidth];
};

/// Pack number i after `from`. `from` and `to` must be aligned for it.
template <int kWidth, class T>
__device__ Pack<T, kWidth> load(const T* from, std::int64_t i) {
  return reinterpret_cast<const Pack<T, kWidth>*>(from)[i];
}
template <int kWidth, class T>
__device__ void store(T* to, std::int64_t i, const Pack<T, kWidth>& pack) {
  reinterpret_cast<Pack<T, kWidth>*>(to)[i] = pack;
}

/// out = f(in…) + beta out, element by element.
template <int kWidth, class T, class F, class... In>
__device__ void map_pack(Pack<T, kWidth>& out, const F& f, T beta, const Pack<In, kWidth>&... in) {
  for (int i = 0; i < kWidth; ++i) {
    const T value = f(in.value[i]...);
    out.value[i] = beta == T(0) ? value : value + beta * out.value[i];
  }
}

/// Whether 16 bytes can be accessed at each pointer. Absent pointers allow it.
template <class... Pointers>
[[nodiscard]] bool are_aligned(const Pointers*... pointers) {
  return (... && (reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0));
}

/// Calls body.operator()<kWidth>() with 16 bytes of elements if the alignment of every pointer and row of D
/// elements allows it, otherwise with 1.
template <class T, class Body, class... Pointers>
void dispatch_width(std::int64_t D, Body&& body, const Pointers*... pointers) {
  constexpr int kWidest = static_cast<int>(16 / sizeof(T));
  if (are_aligned(pointers...) && D % kWidest == 0) {
    body.template operator()<kWidest>();
  } else {
    body.template operator()<1>();
  }
}

}  // namespace granule::gpu
