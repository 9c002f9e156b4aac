// A data set and a run that were made by the program itself, for tests of the commands that read them.
#pragma once
#include <filesystem>
#include <string>

#include "tests/support/temp_dir.hpp"

namespace granule::test {

/// Not to be written to, see copy_of.
struct SmallRun {
  explicit SmallRun(const std::filesystem::path& directory);
  /// Takes about a second.
  void make() const;
  std::filesystem::path texts, tokenizer, data, config;
  std::filesystem::path run;  ///< checkpoints after steps 10 and 20
};
/// The one that ctest has made for all tests, in GRANULE_SMALL_RUN; without ctest each process makes its own.
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
