// JSON as nlohmann-json reads it, but stricter. It refuses a key that is given twice and anything after a
// NUL. It also refuses nesting so deep that copying or printing the value would overflow the stack.
#pragma once
#include <filesystem>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace granule {

/// Throws a user error that names `where`. Syntax errors, ill-formed UTF-8 among them, have line and column.
[[nodiscard]] nlohmann::json parse_json(std::string_view text, std::string_view where);
/// Reads a file of at most 64 MiB that is one JSON object.
[[nodiscard]] nlohmann::json load_json_object(const std::filesystem::path& path);

}  // namespace granule
