// Element types, and the dispatch from a run-time type to a C++ type.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/error.hpp"

namespace granule {

/// bf16 and f16 only occur as storage formats of model files; kernels compute in f32 and f64.
enum class DType : std::uint8_t { f32, f64, bf16, f16, i32, i64, u16, u32, u8 };

[[nodiscard]] constexpr std::int64_t size_of(DType type) {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
    case DType::u32:
      return 4;
    case DType::bf16:
    case DType::f16:
    case DType::u16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

[[nodiscard]] constexpr std::string_view name_of(DType type) {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u16:
      return "u16";
    case DType::u32:
      return "u32";
    case DType::u8:
      return "u8";
  }
  return "?";
}

template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "no DType for this type");
  return DType::f32;
}();
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::uint16_t> = DType::u16;
template <>
inline constexpr DType dtype_of<std::uint32_t> = DType::u32;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;

/// Calls body.operator()<float>() or <double>(), the two types that kernels compute in.
template <class Body>
decltype(auto) dispatch_float(DType type, Body&& body) {
  GRANULE_CHECK(type == DType::f32 || type == DType::f64, "computing in {}: only f32 and f64 are computed in",
                name_of(type));
  return type == DType::f32 ? body.template operator()<float>() : body.template operator()<double>();
}

}  // namespace granule
