// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace granule {

enum class Utf8Status : std::uint8_t { complete, invalid, cut_off };

struct Utf8Char {
  char32_t code_point = 0;
  std::size_t length = 1;  ///< in bytes
  Utf8Status status = Utf8Status::complete;
};

/// The character that starts at byte `at` < text.size(). `cut_off` means that the text ends inside a
/// character that more bytes could complete.
[[nodiscard]] Utf8Char utf8_char(std::string_view text, std::size_t at);

/// Byte offset of the first byte that belongs to no character.
[[nodiscard]] std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// Turns bytes that arrive in pieces into whole characters. Each byte that belongs to none becomes U+FFFD.
class Utf8Stream {
 public:
  /// Returns what is complete with these bytes.
  [[nodiscard]] std::string add(std::string_view bytes);
  /// Returns what is left at the end.
  [[nodiscard]] std::string finish();

 private:
  std::string pending_;
};

}  // namespace granule
