// How to get text out of a file that is not text, and what bytes of an unknown kind look like.
#pragma once
#include <cstdint>
#include <string_view>

#include "data/files/content_kind.hpp"

namespace granule {

/// What to do with a file of this kind to train on its text.
[[nodiscard]] std::string_view text_advice(ContentKind kind);

/// What bytes of an unknown kind look like.
enum class Bytes : std::uint8_t {
  text,    ///< no NUL among them
  utf16,   ///< every second one is NUL, as in UTF-16 without a byte order mark
  binary,  ///< has NULs in some other way
};
[[nodiscard]] Bytes kind_of_bytes(std::string_view beginning);

}  // namespace granule
