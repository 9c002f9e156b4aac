// A text that a command takes as a whole, from a file or from stdin.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "data/text/stdin_file.hpp"

namespace granule {

/// The content of a file, decompressed and without a byte order mark. "-" is stdin, as it is. Throws a user
/// error if it cannot be read or is not UTF-8.
[[nodiscard]] std::string read_whole_text(const std::filesystem::path& path);

/// Everything that stdin has. Throws an I/O error if it cannot be read.
[[nodiscard]] std::string read_stdin();

/// What messages call this file, or stdin.
[[nodiscard]] std::string name_of_input(const std::filesystem::path& path);

/// Throws a user error that names the first bad byte of a text that is not UTF-8.
void require_utf8(std::string_view text, std::string_view where);

}  // namespace granule
