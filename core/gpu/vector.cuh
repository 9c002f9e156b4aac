// Loads and stores several elements of a row at once: 16 bytes, the widest access of a device.
#pragma once
#include <cstdint>

#include "core/gpu/bf16.cuh"

/// A device ends a program that accesses several elements elsewhere. The emulator has its own check.
#ifndef GRANULE_REQUIRE_ALIGNED
#define GRANULE_REQUIRE_ALIGNED(data, bytes) static_cast<void>(0)
#endif

namespace granule::gpu {

/// Several elements of a row. A pack of more than 16 bytes is accessed in parts.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth < 16 ? sizeof(T) * kWidth : 16) Pack {
  T value[kWidth];
};

/// Pack number i after `from`. `from` and `to` must be aligned for it.
template <int kWidth, class T>
__device__ Pack<T, kWidth> load(const T* from, std::int64_t i) {
  GRANULE_REQUIRE_ALIGNED(from, (alignof(Pack<T, kWidth>)));
  return reinterpret_cast<const Pack<T, kWidth>*>(from)[i];
}
template <int kWidth, class T>
__device__ void store(T* to, std::int64_t i, const Pack<T, kWidth>& pack) {
  GRANULE_REQUIRE_ALIGNED(to, (alignof(Pack<T, kWidth>)));
  reinterpret_cast<Pack<T, kWidth>*>(to)[i] = pack;
}

/// A pack as kernels compute with it, and the reverse.
template <class T, int kWidth>
__device__ Pack<Wide<T>, kWidth> wide(const Pack<T, kWidth>& pack) {
  if constexpr (std::is_same_v<T, Wide<T>>) {
    return pack;
  } else {
    Pack<Wide<T>, kWidth> result;
    for (int i = 0; i < kWidth; ++i) result.value[i] = wide(pack.value[i]);
    return result;
  }
}
template <class T, int kWidth>
__device__ Pack<T, kWidth> rounded(const Pack<Wide<T>, kWidth>& pack) {
  if constexpr (std::is_same_v<T, Wide<T>>) {
    return pack;
  } else if constexpr (kWidth == 1) {
    return {{rounded<T>(pack.value[0])}};
  } else {
    struct {
      std::uint32_t pair[kWidth / 2];
    } words;
    for (int i = 0; i < kWidth / 2; ++i)
      words.pair[i] = rounded_pair(pack.value[2 * i], pack.value[2 * i + 1]);
    return __builtin_bit_cast(Pack<T, kWidth>, words);
  }
}
template <int kWidth, class T>
__device__ Pack<Wide<T>, kWidth> load_wide(const T* from, std::int64_t i) {
  return wide(load<kWidth>(from, i));
}
template <int kWidth, class T>
__device__ void store_rounded(T* to, std::int64_t i, const Pack<Wide<T>, kWidth>& pack) {
  store(to, i, rounded<T>(pack));
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
/// elements allows it, otherwise with 1. Wider elements than T are accessed in parts of 16 bytes.
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
