// Files of a test: their text, and which there are.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace granule::test {

[[nodiscard]] std::string text_of(const std::filesystem::path& file);
void write_text(const std::filesystem::path& file, const std::string& text);
/// The names in a directory, sorted.
[[nodiscard]] std::vector<std::string> names_in(const std::filesystem::path& directory);

}  // namespace granule::test
