// The types of tensors in GGUF files that this program writes and reads, and the fixed numbers of the format.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace granule {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::uint32_t kGgufVersion = 3;
/// The alignment of every tensor, unless general.alignment gives another.
inline constexpr std::int64_t kGgufAlignment = 32;

/// The values are those in the files.
enum class GgufType : std::uint32_t { f32 = 0, f16 = 1, q8_0 = 8, bf16 = 30 };

/// Absent for types that are not among these.
[[nodiscard]] std::optional<GgufType> gguf_type_of(std::uint32_t in_file);
[[nodiscard]] std::string_view name_of(GgufType type);  ///< "f32", "q8_0"

/// A block is the smallest part of a row that can be stored alone.
[[nodiscard]] std::int64_t block_elements(GgufType type);
[[nodiscard]] std::int64_t block_bytes(GgufType type);

/// The bytes of a tensor of this shape, whose last extent is the length of its rows. Absent if the rows do
/// not consist of whole blocks, if an extent is not positive, or if the number is too large.
[[nodiscard]] std::optional<std::int64_t> gguf_bytes(GgufType type, std::span<const std::int64_t> shape);

/// The types of values in the header, as in the files.
enum class GgufValueType : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};

}  // namespace granule
