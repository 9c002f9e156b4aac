// Kinds of files that are no text, known by their first bytes, and what to do to get text out of them.
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

/// The kind of a file that begins with these bytes; absent for text and for what is not known. 512 bytes are
/// enough to tell.
[[nodiscard]] std::optional<FileKind> kind_of_content(std::string_view beginning);

/// What bytes look like, whose kind is not known.
enum class Bytes : std::uint8_t {
  text,    ///< no NUL among them
  utf16,   ///< every second one is NUL, as in UTF-16 without a byte order mark
  binary,  ///< some other way with NULs
};
[[nodiscard]] Bytes kind_of_bytes(std::string_view beginning);

}  // namespace granule
