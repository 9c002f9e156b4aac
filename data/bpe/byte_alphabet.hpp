// The alphabet of byte-level BPE: a printable character for each byte. Bytes that print as themselves in
// Latin-1 keep their character, the other 68 take those from U+0100 on, in order (so a space is "Ġ").
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace granule {

/// The character of each byte, in UTF-8.
[[nodiscard]] const std::array<std::string, 256>& byte_characters();

/// The bytes that a token of such characters stands for; absent when it has others.
[[nodiscard]] std::optional<std::string> bytes_of_token(std::string_view token);

}  // namespace granule
