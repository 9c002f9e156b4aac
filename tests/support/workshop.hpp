// A small training job in a directory of its own: config, data, and what its runs leave behind.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tests/support/run_program.hpp"

namespace granule::test {

/// Words 0 … 58, a model of two layers, the second with 8 experts; 40 steps of 4 × 16 tokens, an evaluation
/// every 10 and a checkpoint every 20 steps. A run of it takes a fraction of a second.
struct Workshop {
  static constexpr std::int64_t kVocabulary = 59;
  static constexpr std::int64_t kStepTokens = 4 * 16;
  TempDir directory;

  /// Patterned documents in both splits.
  Workshop();
  /// The training split is this one document.
  explicit Workshop(const std::vector<std::int32_t>& document);
  [[nodiscard]] std::string path(const char* name) const { return (directory / name).string(); }
  [[nodiscard]] ProgramResult train(const char* out, std::vector<std::string> more = {}) const;
  /// The rows of metrics.jsonl without what a clock or the number of threads decides.
  [[nodiscard]] std::vector<nlohmann::json> metrics(const char* run) const;
  [[nodiscard]] std::filesystem::path checkpoint(const char* run, std::int64_t step) const;
  /// The bytes of all tensors of a checkpoint: weights and moments.
  [[nodiscard]] std::string tensors(const char* run, std::int64_t step) const;
};

}  // namespace granule::test
