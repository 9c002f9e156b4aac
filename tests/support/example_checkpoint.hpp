// A small checkpoint whose every value follows from its step, so that any state found on a disk can be
// judged.
#pragma once
#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

#include "distributed/checkpoint.hpp"
#include "distributed/checkpoint_writer.hpp"

namespace granule::test {

class ExampleCheckpoint {
 public:
  /// The tokenizer file is created in `directory`, beside the run.
  ExampleCheckpoint(std::int64_t step, const std::filesystem::path& directory);
  /// Valid as long as this object.
  [[nodiscard]] CheckpointContent content() const;
  /// True when all of it reads back, bit for bit.
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

/// Small enough for the example's tensors to take several files.
inline constexpr std::int64_t kExampleFileBytes = 300;

}  // namespace granule::test
