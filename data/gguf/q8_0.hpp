// The 8-bit blocks of GGUF files: 32 values as whole numbers from −127 to 127, and one scale in f16.
#pragma once
#include <cstddef>
#include <span>

namespace granule {

/// Rounds as ggml does. With d = max |x| / 127, the numbers are x · (1 / d) rounded half away from zero, and
/// the scale is d rounded to f16. `values` are whole blocks, and `out` has 34 bytes for each. Returns false
/// if a value or a scale is not finite.
[[nodiscard]] bool quantise_q8_0(std::span<const float> values, std::span<std::byte> out);

/// `out` has 32 values for each block of `blocks`.
void dequantise_q8_0(std::span<const std::byte> blocks, std::span<float> out);

}  // namespace granule
