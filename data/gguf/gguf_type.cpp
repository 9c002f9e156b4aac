#include "data/gguf/gguf_type.hpp"

namespace granule {

std::optional<GgufType> gguf_type_of(std::uint32_t in_file) {
  for (const GgufType type : {GgufType::f32, GgufType::f16, GgufType::q8_0, GgufType::bf16}) {
    if (static_cast<std::uint32_t>(type) == in_file) return type;
  }
  return std::nullopt;
}

std::string_view name_of(GgufType type) {
  switch (type) {
    case GgufType::f32:
      return "f32";
    case GgufType::f16:
      return "f16";
    case GgufType::bf16:
      return "bf16";
    case GgufType::q8_0:
      return "q8_0";
  }
  return "?";
}

std::int64_t block_elements(GgufType type) {
  return type == GgufType::q8_0 ? 32 : 1;
}

std::int64_t block_bytes(GgufType type) {
  if (type == GgufType::q8_0) return 2 + 32;  // an f16 scale and 32 whole numbers
  return type == GgufType::f32 ? 4 : 2;
}

std::optional<std::int64_t> gguf_bytes(GgufType type, std::span<const std::int64_t> shape) {
  if (shape.empty() || shape.back() % block_elements(type) != 0) return std::nullopt;
  std::int64_t bytes = block_bytes(type);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool row = i + 1 == shape.size();
    const std::int64_t extent = row ? shape[i] / block_elements(type) : shape[i];
    if (extent <= 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return bytes;
}

}  // namespace granule
