// Kinds of files that are not text, recognised by their first bytes, and how to get text out of them.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace granule {

enum class Packing : std::uint8_t { none, compressed };

struct FileKind {
  std::string_view name;    ///< with its article: "a zip archive"
  std::string_view advice;  ///< how to get text
  Packing packing = Packing::none;
};

/// The kind of a file that begins with these bytes. Absent for text and for unknown kinds. 512 bytes are
/// enough to tell.
[[nodiscard]] std::optional<FileKind> kind_of_content(std::string_view beginning);

/// What bytes of an unknown kind look like.
enum class Bytes : std::uint8_t {
  text,    ///< no NUL among them
  utf16,   ///< every second one is NUL, as in UTF-16 without a byte order mark
  binary,  ///< has NULs in some other way
};
[[nodiscard]] Bytes kind_of_bytes(std::string_view beginning);

}  // namespace granule
