// JSON as nlohmann-json reads it, minus what it lets pass: a key given twice, anything after a NUL, and
// nesting so deep that copying or printing the value would overflow the stack.
#pragma once
#include <filesystem>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace granule {

/// Throws a user error naming `where`, and line and column for syntax errors, ill-formed UTF-8 included.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, std::string_view where);
/// A whole file of at most 64 MiB that is one JSON object.
[[nodiscard]] nlohmann::json load_json_object(const std::filesystem::path& path);

}  // namespace granule
