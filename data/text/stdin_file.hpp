// stdin as a file that can be read again and again.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace granule {

/// Stands for stdin in the place of a file name.
inline constexpr std::string_view kStdin = "-";

/// The path of a file with everything that stdin has. It has no name in any directory and is gone when the
/// process ends. The first call reads stdin to its end, and the file takes its place. Throws an I/O error if
/// that fails.
[[nodiscard]] std::filesystem::path stdin_as_file();

/// What messages call a file. `-` and the copy of stdin are called stdin.
[[nodiscard]] std::string name_of_input(const std::filesystem::path& path);

}  // namespace granule
