// The files that inputs consist of: those named, and those of a directory that are text or JSON Lines.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/text/text_kind.hpp"

namespace granule {

struct InputFile {
  std::filesystem::path path;
  std::int64_t bytes = 0;  ///< as it lies on the disk
  TextKind kind = TextKind::text;
};

struct LeftOut {
  std::filesystem::path path;
  std::string why;
};

struct InputFiles {
  std::vector<InputFile> files;
  std::vector<LeftOut> left_out;  ///< of directories, in the order in which they were looked through
};

/// Files in the order of `inputs`, those of a directory in name order. docs/data.md says which files of a
/// directory are taken; links to files and directories are followed, and each file of a directory is taken
/// once. Throws a user error for a named file that is missing or no text, for a file of a directory whose
/// name promises text that it does not hold, and for a directory without any.
[[nodiscard]] InputFiles find_input_files(const std::vector<std::filesystem::path>& inputs,
                                          const std::string& text_key);

}  // namespace granule
