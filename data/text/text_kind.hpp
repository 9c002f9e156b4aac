// What a file holds: text or JSON Lines, whatever its name, or something that no text can be taken from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace granule {

enum class TextKind : std::uint8_t { text, json_lines };

/// What the name of a file says, that of its compression left out; capitals are small letters.
enum class NameSays : std::uint8_t {
  text,        ///< .txt, .text, .md, .markdown
  json_lines,  ///< .jsonl, .ndjson, .jsonlines
  json,        ///< .json: JSON Lines or one value
  nothing,     ///< any other
};
[[nodiscard]] NameSays what_name_says(const std::filesystem::path& path);

struct TextFile {
  std::optional<TextKind> kind;  ///< absent: no text can be taken from it, and why
  std::string problem, advice;
  bool has_key = false;  ///< of JSON Lines: some object among the first lines has the key
};

/// Looks at the beginning of a file, and at all of it where it begins as JSON does and is not JSON Lines.
/// docs/data.md has the rule. Throws a user error when the file cannot be read or its compression is damaged.
[[nodiscard]] TextFile look_at(const std::filesystem::path& path, const std::string& key);

}  // namespace granule
