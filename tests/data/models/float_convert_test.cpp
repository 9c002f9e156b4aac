#include "data/models/float_convert.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/support/catch.hpp"

using granule::DType;

namespace {

/// What the bits mean, by the definition of IEEE formats.
double meaning(std::uint32_t pattern, int exponent_bits, int fraction_bits) {
  const auto fraction = static_cast<double>(pattern & ((1u << fraction_bits) - 1));
  const int exponent = static_cast<int>((pattern >> fraction_bits) & ((1u << exponent_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (pattern >> (exponent_bits + fraction_bits)) & 1 ? -1.0 : 1.0;
  const double scale = std::ldexp(1.0, -fraction_bits);
  if (exponent == (1 << exponent_bits) - 1) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction * scale, 1 - bias);
  return sign * std::ldexp(1 + fraction * scale, exponent - bias);
}

struct Format {
  DType type;
  int exponent_bits;
  int fraction_bits;
  [[nodiscard]] double value(std::uint32_t pattern) const {
    return meaning(pattern, exponent_bits, fraction_bits);
  }
};
constexpr std::array kNarrow{Format{DType::bf16, 8, 7}, Format{DType::f16, 5, 10}};

template <class T>
T decode(DType type, std::uint16_t pattern) {
  T value{};
  granule::floats_from_bytes(type, std::as_bytes(std::span(&pattern, 1)), std::span(&value, 1));
  return value;
}

template <class T>
std::uint16_t encode(DType type, T value) {
  std::uint16_t pattern = 0;
  granule::bytes_from_floats(std::span<const T>(&value, 1), type,
                             std::as_writable_bytes(std::span(&pattern, 1)));
  return pattern;
}

template <class T>
int wrong_patterns(const Format& format) {
  int wrong = 0;
  for (std::uint32_t p = 0; p <= 0xffff; ++p) {
    const auto pattern = static_cast<std::uint16_t>(p);
    const T value = decode<T>(format.type, pattern);
    const double expected = format.value(p);
    const std::uint16_t back = encode<T>(format.type, value);
    if (std::isnan(expected)) {
      wrong += !std::isnan(value) || !std::isnan(format.value(back));
    } else {
      const bool same_sign = std::signbit(value) == std::signbit(expected);
      wrong += static_cast<double>(value) != expected || !same_sign || back != pattern;
    }
  }
  return wrong;
}

/// Between any two finite neighbours, the middle is rounded to the even one. Everything else is rounded to
/// the nearer one.
template <class T>
int wrong_roundings(const Format& format) {
  int wrong = 0;
  const std::uint32_t infinity = ((1u << format.exponent_bits) - 1) << format.fraction_bits;
  for (std::uint32_t p = 0; p + 1 < infinity; ++p) {
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const auto low = static_cast<std::uint16_t>(p | sign),
                 high = static_cast<std::uint16_t>((p + 1) | sign);
      const auto middle =
          static_cast<T>((format.value(low) + format.value(high)) / 2);  // exact in both types
      wrong += encode<T>(format.type, middle) != (p % 2 == 0 ? low : high);
      wrong += encode<T>(format.type, std::nextafter(middle, T(0))) != low;
      wrong += encode<T>(format.type, std::nextafter(middle, T(sign ? -INFINITY : INFINITY))) != high;
    }
  }
  return wrong;
}

}  // namespace

TEST_CASE("float_convert: every pattern of bf16 and f16 means what its bits say and comes back unchanged") {
  for (const Format& format : kNarrow) {
    CHECK(wrong_patterns<float>(format) == 0);
    CHECK(wrong_patterns<double>(format) == 0);
  }
}

TEST_CASE("float_convert: rounding to bf16 and f16 is to nearest even, and from double it happens once") {
  for (const Format& format : kNarrow) {
    CHECK(wrong_roundings<float>(format) == 0);
    CHECK(wrong_roundings<double>(format) == 0);
  }
}

TEST_CASE("float_convert: values too large for a narrow format become infinite, NaN stays NaN") {
  CHECK(encode<double>(DType::bf16, 1e300) == 0x7f80);
  CHECK(encode<double>(DType::bf16, -1e300) == 0xff80);
  CHECK(encode<float>(DType::f16, 65520.0f) == 0x7c00);
  CHECK(encode<double>(DType::f16, 65519.999999999) == 0x7bff);
  CHECK(std::isnan(decode<double>(DType::bf16, encode<double>(DType::bf16, NAN))));
  CHECK(encode<double>(DType::bf16, INFINITY) == 0x7f80);
}

TEST_CASE("float_convert: f32 and f64 convert through unaligned bytes, f64 to f32 rounding to nearest") {
  const std::array values{1.0, -0.0, 1.0 + 0x1p-24, 1.0 + 0x1p-24 + 0x1p-50, 1e-310, 1e39};
  std::vector<std::byte> bytes(1 + sizeof(values));
  std::memcpy(bytes.data() + 1, values.data(), sizeof(values));
  std::vector<float> floats(values.size());
  granule::floats_from_bytes(DType::f64, std::span(bytes).subspan(1), std::span(floats));
  CHECK(floats == std::vector<float>{1.0f, 0.0f, 1.0f, 1.0f + 0x1p-23f, 0.0f, INFINITY});
  CHECK(std::signbit(floats[1]));
  std::vector<double> doubles(values.size());
  granule::floats_from_bytes(DType::f32, std::as_bytes(std::span(floats)), std::span(doubles));
  CHECK(doubles == std::vector<double>(floats.begin(), floats.end()));
}

TEST_CASE("float_convert: conversion refuses integers and sizes that do not match") {
  std::vector<float> out(2);
  const std::array<std::byte, 8> bytes{};
  CHECK_THROWS_WITH(granule::floats_from_bytes(DType::i32, bytes, std::span(out)), Catch::Contains("i32"));
  CHECK_THROWS_WITH(granule::floats_from_bytes(DType::bf16, bytes, std::span(out)),
                    Catch::Contains("2 elements"));
}
