// A small checkpoint in which every value follows from the step. So a test can check any state that it finds
// on a disk.
#pragma once
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "distributed/checkpoints/checkpoint.hpp"
#include "distributed/checkpoints/checkpoint_writer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule::test {

class ExampleCheckpoint {
 public:
  /// Creates the tokenizer file in `directory`, in the same folder as the run.
  ExampleCheckpoint(std::int64_t step, const std::filesystem::path& directory);
  /// It is valid as long as this object.
  [[nodiscard]] CheckpointContent content() const;
  /// Whether all of it reads back, bit for bit.
  [[nodiscard]] bool equals(const Checkpoint& checkpoint) const;

 private:
  std::int64_t step_;
  std::filesystem::path tokenizer_;
  nlohmann::json sections_;
  std::vector<float> weights_;
  std::vector<double> bias_;
  std::vector<float> moments_;
  std::vector<TensorToSave> model_;
  std::vector<TensorToSave> optimizer_;
};

/// It is so small that the example's tensors need several files.
inline constexpr std::int64_t kExampleFileBytes = 300;

/// A job that saves the examples of these steps in a run directory. It keeps the newest `keep`, or all if
/// that is 0.
void save_steps(const TempDir& run, std::initializer_list<std::int64_t> steps, std::int64_t keep = 0);
/// Where the checkpoint of a step is in a run directory.
[[nodiscard]] std::filesystem::path checkpoint_at(const TempDir& run, std::int64_t step);

}  // namespace granule::test
