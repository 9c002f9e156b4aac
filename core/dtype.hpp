// Element types, and the dispatch from a run-time type to a C++ type.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/bf16.hpp"
#include "core/error.hpp"

namespace granule {

/// Kernels compute in f32 and f64. Values can also be stored in bf16, which kernels widen to f32 as they
/// read. f16 occurs in model files only.
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
inline constexpr DType dtype_of<bf16> = DType::bf16;
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

/// The dtype of Wide<T>: scores, statistics of rows, and gradients of parameters have it.
[[nodiscard]] constexpr DType wide_of(DType type) {
  return type == DType::bf16 ? DType::f32 : type;
}

/// In which types a model is stored. Values are what kernels read, gradients are sums, and masters are what
/// the optimizer updates. For example, DType::bf16 is {bf16, f32, f32}, and DType::f64 is f64 everywhere.
struct Precision {
  DType values, gradients, masters;

  constexpr Precision(DType computed)  // implicit, because a type that models compute in names a precision
      : values(computed), gradients(wide_of(computed)), masters(gradients) {}
  /// Whether masters are stored beside the values. Otherwise the values are the masters.
  [[nodiscard]] constexpr bool keeps_masters() const { return masters != values; }
  friend constexpr bool operator==(const Precision&, const Precision&) = default;
};

/// Calls body.operator()<float>() or <double>(), the two types that kernels compute in.
template <class Body>
decltype(auto) dispatch_float(DType type, Body&& body) {
  GRANULE_CHECK(type == DType::f32 || type == DType::f64, "{}: this is computed in f32 and f64 only",
                name_of(type));
  return type == DType::f32 ? body.template operator()<float>() : body.template operator()<double>();
}

/// The same with bf16, for kernels that widen what they read (Wide<T>) and round what they write.
template <class Body>
decltype(auto) dispatch_storage(DType type, Body&& body) {
  if (type == DType::bf16) return body.template operator()<bf16>();
  return dispatch_float(type, std::forward<Body>(body));
}

}  // namespace granule
