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
  std::size_t length = 1;  ///< bytes
  Utf8Status status = Utf8Status::complete;
};

/// The character that starts at byte `at` < text.size(). `cut_off`: the text ends inside of a character that
/// more bytes could complete.
[[nodiscard]] Utf8Char utf8_char(std::string_view text, std::size_t at);

/// Byte offset of the first byte that belongs to no character.
[[nodiscard]] std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// Turns bytes that arrive in pieces into whole characters; U+FFFD stands for each byte that belongs to none.
class Utf8Stream {
 public:
  /// What is complete with these bytes.
  [[nodiscard]] std::string add(std::string_view bytes);
  /// What is left, at the end.
  [[nodiscard]] std::string finish();

 private:
  std::string pending_;
};

}  // namespace granule
