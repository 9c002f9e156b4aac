// The alphabet of byte-level BPE, which has a printable character for each byte. Bytes that are printable in
// Latin-1 keep their character. The other 68 get those from U+0100 on, in order, so a space is "Ġ".
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace granule {

/// The character of each byte, in UTF-8.
[[nodiscard]] const std::array<std::string, 256>& byte_characters();

/// The bytes of a token that is made of such characters. Absent if it has others.
[[nodiscard]] std::optional<std::string> bytes_of_token(std::string_view token);

}  // namespace granule
