// Loads and stores several elements of a row at once: 16 bytes, the widest access of a device.
#pragma once
#include <cstdint>

#include "core/gpu.hpp"

namespace granule::gpu {

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T value[kWidth];
};

/// Element pack number i after p. `from` and `to` must be aligned for it.
template <int kWidth, class T>
__device__ Pack<T, kWidth> load(const T* from, std::int64_t i) {
  return reinterpret_cast<const Pack<T, kWidth>*>(from)[i];
}
template <int kWidth, class T>
__device__ void store(T* to, std::int64_t i, const Pack<T, kWidth>& pack) {
  reinterpret_cast<Pack<T, kWidth>*>(to)[i] = pack;
}

/// Calls body.operator()<kWidth>() with 16 bytes of elements if the alignment of every pointer and row of D
/// elements allows it, otherwise with 1. Absent pointers allow anything.
template <class T, class Body, class... Pointers>
void dispatch_width(std::int64_t D, Body&& body, const Pointers*... pointers) {
  constexpr int kWidest = static_cast<int>(16 / sizeof(T));
  const bool aligned = (... && (reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0));
  if (aligned && D % kWidest == 0) {
    body.template operator()<kWidest>();
  } else {
    body.template operator()<1>();
  }
}

}  // namespace granule::gpu
