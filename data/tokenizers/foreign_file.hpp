// Files that look like a tokenizer but cannot be read here: a part of one, another program's kind, or a
// compressed one.
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

/// What the file is, if its name or its content says that it is not a tokenizer that is read here. It reads
/// the beginning of the file, and all of a .json file. Throws a user error if it cannot be read.
[[nodiscard]] std::optional<ForeignFile> foreign_file(const std::filesystem::path& path);

/// The advice for a file of this name: "vocab.json", "merges.txt", "tekken.json", …
[[nodiscard]] std::string foreign_advice(std::string_view name);

}  // namespace granule
