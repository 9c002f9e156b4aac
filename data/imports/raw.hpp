// Numbers in files. They are little-endian and have any alignment, as in all these formats.
#pragma once
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>

namespace granule {

/// The number at byte `at` of `bytes`, which must contain all of it.
template <class T>
[[nodiscard]] T raw(std::span<const std::byte> bytes, std::size_t at) {
  static_assert(std::endian::native == std::endian::little);
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

}  // namespace granule
