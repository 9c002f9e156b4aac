// A text that a command takes as a whole, from a file or from stdin.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "data/text/stdin_file.hpp"

namespace granule {

/// The content of a file, decompressed and without a byte order mark. "-" is stdin. Throws a user error if it
/// cannot be read or is not UTF-8.
[[nodiscard]] std::string read_whole_text(const std::filesystem::path& path);

/// Takes the next line from `rest`, without its end.
[[nodiscard]] std::string_view take_line(std::string_view& rest);

/// Throws a user error that names the first bad byte of a text that is not UTF-8.
void require_utf8(std::string_view text, std::string_view where);

}  // namespace granule
