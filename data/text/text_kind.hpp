// What a file contains, whatever its name is: text, JSON Lines, or something that no text can be taken from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace granule {

enum class TextKind : std::uint8_t { text, json_lines };

/// What the name of a file says, without the extension of its compression. Capitals count as small letters.
enum class NameSays : std::uint8_t {
  text,        ///< .txt, .text, .md, .markdown
  json_lines,  ///< .jsonl, .ndjson, .jsonlines
  json,        ///< .json: JSON Lines or one value
  nothing,     ///< any other
};
[[nodiscard]] NameSays what_name_says(const std::filesystem::path& path);

struct TextFile {
  std::optional<TextKind> kind;  ///< absent if no text can be taken from it; problem then says why
  std::string problem, advice;
  bool is_empty = false;  ///< it has no text but white space
  bool has_key = false;   ///< JSON Lines: one of the objects among the first lines has the key
};

/// Looks at the beginning of a file. If that begins as JSON does and is not JSON Lines, it looks at all of
/// the file. docs/data.md has the rule. Throws a user error if the file cannot be read or its compression is
/// damaged.
[[nodiscard]] TextFile look_at(const std::filesystem::path& path, const std::string& key);

}  // namespace granule
