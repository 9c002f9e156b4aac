// Files that people take for a tokenizer, and that are none which is read here: a part of one, another
// program's kind, or a compressed one.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace granule {

struct ForeignFile {
  std::string what;    ///< what the file is
  std::string advice;  ///< which file to give instead
};

/// What the file is, where its name or its content says that it is no tokenizer which is read here. Reads the
/// beginning of the file, and of a .json file all. Throws a user error when it cannot be read.
[[nodiscard]] std::optional<ForeignFile> foreign_file(const std::filesystem::path& path);

/// What to do with a file of this name: "vocab.json", "merges.txt", "tekken.json", …
[[nodiscard]] std::string foreign_advice(std::string_view name);

}  // namespace granule
