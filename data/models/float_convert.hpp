// Conversion between the floating-point formats of model files (f64 f32 bf16 f16, little-endian bytes of any
// alignment) and the two types kernels compute in.
#pragma once
#include <cstddef>
#include <span>

#include "core/dtype.hpp"

namespace granule {

/// f64, f32, bf16 or f16.
[[nodiscard]] bool is_floating(DType type);

/// Exact, but for f64 to float, which rounds to nearest even. `bytes` holds out.size() elements of `type`.
void floats_from_bytes(DType type, std::span<const std::byte> bytes, std::span<float> out);
void floats_from_bytes(DType type, std::span<const std::byte> bytes, std::span<double> out);

/// Rounds once, to nearest even; overflow gives infinity, a NaN stays a NaN. `out` has room for values.size()
/// elements.
void bytes_from_floats(std::span<const float> values, DType type, std::span<std::byte> out);
void bytes_from_floats(std::span<const double> values, DType type, std::span<std::byte> out);

}  // namespace granule
