// bf16 in kernels. Elements are those of core/bf16.hpp. Kernels widen what they read, compute in float, and
// round once as they write.
#pragma once
#include "core/bf16.hpp"
#include "core/gpu/launch.cuh"

namespace granule::gpu {

/// An element as kernels compute with it.
template <class T>
__device__ Wide<T> wide(T value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16U);
  } else {
    return value;
  }
}

/// Two numbers as bf16 stores them, the first in the lower half. Numbers have the bits of bf16(float). NaN
/// becomes the device's one NaN, and on the emulated device a NaN of bf16(float).
__device__ inline std::uint32_t rounded_pair(float first, float second) {
#ifdef __CUDACC__
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  return static_cast<std::uint32_t>(bf16(second).bits) << 16U | bf16(first).bits;
#endif
}

/// A number as T stores it.
template <class T>
__device__ T rounded(Wide<T> value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return __builtin_bit_cast(bf16, static_cast<std::uint16_t>(rounded_pair(value, 0.0F)));
  } else {
    return value;
  }
}

/// What a kernel writes to an element: value + beta · before. Beta 0 does not read it.
template <class T>
__device__ void write(T* to, Wide<T> value, Wide<T> beta) {
  *to = rounded<T>(beta == Wide<T>(0) ? value : value + beta * wide(*to));
}

}  // namespace granule::gpu
