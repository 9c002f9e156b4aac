#include "data/models/finite.hpp"

#include <algorithm>
#include <cstring>

namespace granule {
namespace {

/// In NaN and infinity all bits of the exponent are set.
template <class Bits, Bits kExponent>
std::optional<std::int64_t> first_with_exponent(std::span<const std::byte> bytes) {
  constexpr std::size_t kBlock = 1024;  // a loop that ends early would not be vectorised
  const auto is_finite = [&](std::size_t i) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    return (bits & kExponent) != kExponent;
  };
  const std::size_t count = bytes.size() / sizeof(Bits);
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, count);
    bool finite = true;
    for (std::size_t i = begin; i < end; ++i) finite &= is_finite(i);
    if (finite) continue;
    std::size_t bad = begin;
    while (is_finite(bad)) ++bad;
    return static_cast<std::int64_t>(bad);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::int64_t> first_not_finite(DType dtype, std::span<const std::byte> bytes) {
  switch (dtype) {
    case DType::f64:
      return first_with_exponent<std::uint64_t, 0x7FF0'0000'0000'0000>(bytes);
    case DType::f32:
      return first_with_exponent<std::uint32_t, 0x7F80'0000>(bytes);
    case DType::bf16:
      return first_with_exponent<std::uint16_t, 0x7F80>(bytes);
    case DType::f16:
      return first_with_exponent<std::uint16_t, 0x7C00>(bytes);
    default:
      return std::nullopt;
  }
}

}  // namespace granule
