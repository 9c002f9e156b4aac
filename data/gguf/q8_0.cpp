#include "data/gguf/q8_0.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/error.hpp"
#include "data/models/float_convert.hpp"

namespace granule {
namespace {

constexpr std::size_t kValues = 32, kScaleBytes = 2, kBytes = kScaleBytes + kValues;
constexpr float kLargest = 127.0F;

void check_sizes(std::size_t values, std::size_t bytes) {
  GRANULE_CHECK(values % kValues == 0 && values / kValues * kBytes == bytes,
                "q8_0: {} values do not take {} bytes", values, bytes);
}

bool quantise_block(std::span<const float> values, std::span<std::byte> out) {
  float largest = 0.0F;
  for (const float value : values) {
    if (!std::isfinite(value)) return false;
    largest = std::max(largest, std::abs(value));
  }
  const float scale = largest / kLargest;
  const float inverse = scale != 0.0F ? 1.0F / scale : 0.0F;
  bytes_from_floats(std::span(&scale, 1), DType::f16, out.first(kScaleBytes));
  float stored = 0.0F;
  floats_from_bytes(DType::f16, out.first(kScaleBytes), std::span(&stored, 1));
  // If the scale is below the smallest float, its inverse is infinite. Every value is then as good as zero.
  const bool tiny = !std::isfinite(inverse);
  for (std::size_t i = 0; i < kValues; ++i) {
    const float rounded = tiny ? 0.0F : std::round(values[i] * inverse);
    out[kScaleBytes + i] = static_cast<std::byte>(static_cast<std::int8_t>(rounded));
  }
  return std::isfinite(stored);
}

}  // namespace

bool quantise_q8_0(std::span<const float> values, std::span<std::byte> out) {
  check_sizes(values.size(), out.size());
  bool finite = true;
  for (std::size_t block = 0; block < values.size() / kValues; ++block) {
    finite = quantise_block(values.subspan(block * kValues, kValues), out.subspan(block * kBytes, kBytes)) &&
             finite;
  }
  return finite;
}

void dequantise_q8_0(std::span<const std::byte> blocks, std::span<float> out) {
  check_sizes(out.size(), blocks.size());
  for (std::size_t block = 0; block < out.size() / kValues; ++block) {
    const auto bytes = blocks.subspan(block * kBytes, kBytes);
    float scale = 0.0F;
    floats_from_bytes(DType::f16, bytes.first(kScaleBytes), std::span(&scale, 1));
    for (std::size_t i = 0; i < kValues; ++i)
      out[block * kValues + i] = scale * static_cast<float>(static_cast<std::int8_t>(bytes[kScaleBytes + i]));
  }
}

}  // namespace granule
