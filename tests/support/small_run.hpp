// A data set and a run that were made by the program itself, for tests of the commands that read them.
#pragma once
#include <filesystem>
#include <string>

#include "tests/support/temp_dir.hpp"

namespace granule::test {

/// Made once a process in about a second; not to be written to, see copy_of.
struct SmallRun {
  SmallRun();
  TempDir directory;
  std::filesystem::path tokenizer, data, config;
  std::filesystem::path run;  ///< checkpoints after steps 10 and 20
};
[[nodiscard]] const SmallRun& small_run();

/// A copy of a directory in `parent`, under its own name.
[[nodiscard]] std::filesystem::path copy_of(const std::filesystem::path& tree, const TempDir& parent);
[[nodiscard]] std::string text_of(const std::filesystem::path& file);
void write_text(const std::filesystem::path& file, const std::string& text);
/// Replaces the first `from` in a file; fails the test when there is none.
void replace_in(const std::filesystem::path& file, const std::string& from, const std::string& to);
/// Flips one bit in the middle of a file.
void damage(const std::filesystem::path& file);

}  // namespace granule::test
