// A small training job in its own directory, with its config, its data, and what its runs write.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tests/support/run_program.hpp"

namespace granule::test {

/// It has words 0 … 58 and a model of two layers, the second with 8 experts. It takes 40 steps of 4 × 16
/// tokens, with an evaluation every 10 steps and a checkpoint every 20. A run takes a fraction of a second.
struct Workshop {
  static constexpr std::int64_t kVocabulary = 59;
  static constexpr std::int64_t kStepTokens = 4 * 16;
  TempDir directory;

  /// Both splits have patterned documents.
  Workshop();
  /// The training split is this one document.
  explicit Workshop(const std::vector<std::int32_t>& document);
  [[nodiscard]] std::string path(const char* name) const { return (directory / name).string(); }
  [[nodiscard]] ProgramResult train(const char* out, std::vector<std::string> more = {}) const;
  /// The rows of metrics.jsonl without values that depend on a clock or the number of threads.
  [[nodiscard]] std::vector<nlohmann::json> metrics(const char* run) const;
  [[nodiscard]] std::filesystem::path checkpoint(const char* run, std::int64_t step) const;
  /// The bytes of all tensors of a checkpoint: weights and moments.
  [[nodiscard]] std::string tensors(const char* run, std::int64_t step) const;
};

}  // namespace granule::test
