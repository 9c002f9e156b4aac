#include "data/models/float_convert.hpp"

#include <Eigen/Core>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace granule {
namespace {

static_assert(std::endian::native == std::endian::little, "model files are little-endian");

/// Converts to float by rounding to odd. Rounding that to a narrower format gives what a single rounding
/// would have given.
float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(value)) --bits;  // towards zero
  return std::bit_cast<float>(bits | 1u);
}

template <class To, class From>
To convert(From value) {
  constexpr bool narrow = std::is_same_v<To, Eigen::half> || std::is_same_v<To, Eigen::bfloat16>;
  if constexpr (narrow && std::is_same_v<From, double>) {
    return To(round_to_odd(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class Stored, class T>
void read_as(std::span<const std::byte> bytes, std::span<T> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert<T>(stored);
  }
}

template <class Stored, class T>
void write_as(std::span<const T> values, std::span<std::byte> out) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Stored stored = convert<Stored>(values[i]);
    std::memcpy(out.data() + i * sizeof(Stored), &stored, sizeof(Stored));
  }
}

void check_sizes(DType type, std::size_t elements, std::size_t bytes) {
  GRANULE_CHECK(is_floating(type), "float conversion: {} is no floating-point type", name_of(type));
  GRANULE_CHECK(elements * static_cast<std::size_t>(size_of(type)) == bytes,
                "float conversion: {} elements of {} do not take {} bytes", elements, name_of(type), bytes);
}

template <class T>
void read_any(DType type, std::span<const std::byte> bytes, std::span<T> out) {
  check_sizes(type, out.size(), bytes.size());
  if (out.empty()) return;
  if (type == dtype_of<T>) return static_cast<void>(std::memcpy(out.data(), bytes.data(), bytes.size()));
  switch (type) {
    case DType::f64:
      return read_as<double>(bytes, out);
    case DType::f32:
      return read_as<float>(bytes, out);
    case DType::bf16:
      return read_as<Eigen::bfloat16>(bytes, out);
    default:
      return read_as<Eigen::half>(bytes, out);
  }
}

template <class T>
void write_any(std::span<const T> values, DType type, std::span<std::byte> out) {
  check_sizes(type, values.size(), out.size());
  if (values.empty()) return;
  if (type == dtype_of<T>) return static_cast<void>(std::memcpy(out.data(), values.data(), out.size()));
  switch (type) {
    case DType::f64:
      return write_as<double>(values, out);
    case DType::f32:
      return write_as<float>(values, out);
    case DType::bf16:
      return write_as<Eigen::bfloat16>(values, out);
    default:
      return write_as<Eigen::half>(values, out);
  }
}

}  // namespace

bool is_floating(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::bf16 || type == DType::f16;
}

void floats_from_bytes(DType type, std::span<const std::byte> bytes, std::span<float> out) {
  read_any(type, bytes, out);
}
void floats_from_bytes(DType type, std::span<const std::byte> bytes, std::span<double> out) {
  read_any(type, bytes, out);
}
void bytes_from_floats(std::span<const float> values, DType type, std::span<std::byte> out) {
  write_any(values, type, out);
}
void bytes_from_floats(std::span<const double> values, DType type, std::span<std::byte> out) {
  write_any(values, type, out);
}

}  // namespace granule
