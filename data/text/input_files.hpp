// The files that inputs consist of: those that are named, and those of a directory that are text or JSON
// Lines.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/text/stdin_file.hpp"
#include "data/text/text_kind.hpp"

namespace granule {

struct InputFile {
  std::filesystem::path path;
  std::int64_t bytes = 0;  ///< on the disk
  TextKind kind = TextKind::text;

  /// What messages call it.
  [[nodiscard]] std::string name() const { return name_of_input(path); }
};

struct LeftOut {
  std::filesystem::path path;
  std::string why;
};

struct InputFiles {
  std::vector<InputFile> files;
  std::vector<LeftOut> left_out;  ///< from directories, in the order in which they were found
};

/// Files in the order of `inputs`, and those of a directory in the order of names. "-" is stdin. docs/data.md
/// says which files of a directory are taken. Links to files and directories are followed, and each file of a
/// directory is taken once. Throws a user error for a named file that is missing or not text, and for a
/// directory without any text. It also does so for a file of a directory whose name promises text, if the
/// file has none.
[[nodiscard]] InputFiles find_input_files(const std::vector<std::filesystem::path>& inputs,
                                          const std::string& text_key);

}  // namespace granule
