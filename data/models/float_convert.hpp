// Conversion between the floating-point formats of model files (f64 f32 bf16 f16, little-endian bytes of any
// alignment) and the two types that kernels compute in.
#pragma once
#include <cstddef>
#include <span>

#include "core/dtype.hpp"

namespace granule {

/// Whether it is f64, f32, bf16 or f16.
[[nodiscard]] bool is_floating(DType type);

/// It is exact, except that f64 to float rounds to nearest even. `bytes` has out.size() elements of `type`.
void floats_from_bytes(DType type, std::span<const std::byte> bytes, std::span<float> out);
void floats_from_bytes(DType type, std::span<const std::byte> bytes, std::span<double> out);

/// Rounds once, to nearest even. Overflow gives infinity, and a NaN stays a NaN. `out` must have room for
/// values.size() elements.
void bytes_from_floats(std::span<const float> values, DType type, std::span<std::byte> out);
void bytes_from_floats(std::span<const double> values, DType type, std::span<std::byte> out);

}  // namespace granule
