// bfloat16, in which values are stored and not computed: the upper half of a float.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

namespace granule {

struct bf16 {
  std::uint16_t bits;

  bf16() = default;  // undefined, like a float's
  /// Rounds to nearest, and to even if two are as near. NaN stays NaN.
  explicit constexpr bf16(float value) : bits(rounded(std::bit_cast<std::uint32_t>(value))) {}
  explicit constexpr operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
  }

 private:
  static constexpr std::uint16_t rounded(std::uint32_t value) {
    constexpr std::uint32_t kInfinity = 0x7F800000U, kQuiet = 0x00400000U;
    const bool is_nan = (value & 0x7FFFFFFFU) > kInfinity;
    // Adding just less than half of the last kept bit, and that bit itself, rounds up where it must.
    const std::uint32_t up = is_nan ? value | kQuiet : value + 0x7FFFU + (value >> 16U & 1U);
    return static_cast<std::uint16_t>(up >> 16U);
  }
};
static_assert(sizeof(bf16) == 2 && std::is_trivially_copyable_v<bf16>);

/// The type in which kernels compute with values of T, and in which results that must be exact are stored.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

template <class T>
constexpr Wide<T> widened(T value) {
  return static_cast<Wide<T>>(value);
}

}  // namespace granule
