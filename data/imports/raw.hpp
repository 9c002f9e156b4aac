// Numbers in files: little-endian, at any alignment, as all these formats have them.
#pragma once
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>

namespace granule {

/// The number at byte `at` of `bytes`, which has it whole.
template <class T>
[[nodiscard]] T raw(std::span<const std::byte> bytes, std::size_t at) {
  static_assert(std::endian::native == std::endian::little);
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

}  // namespace granule
