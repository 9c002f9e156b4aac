// A data set and a run that the program itself made, for tests of the commands that read them.
#pragma once
#include <filesystem>
#include <string>

#include "tests/support/files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule::test {

/// Do not write to it, see copy_of.
struct SmallRun {
  explicit SmallRun(const std::filesystem::path& directory);
  /// This takes about a second.
  void make() const;
  std::filesystem::path texts, tokenizer, data, config;
  std::filesystem::path run;  ///< checkpoints after steps 10 and 20
};
/// The run that ctest made for all tests, in GRANULE_SMALL_RUN. Without ctest, each process makes its own.
[[nodiscard]] const SmallRun& small_run();

/// Copies a directory into `parent`, under its own name.
[[nodiscard]] std::filesystem::path copy_of(const std::filesystem::path& tree, const TempDir& parent);
/// Replaces the first `from` in a file. The test fails if there is none.
void replace_in(const std::filesystem::path& file, const std::string& from, const std::string& to);
/// Flips one bit in the middle of a file.
void damage(const std::filesystem::path& file);

}  // namespace granule::test
