// Checkpoints as they are read. A directory is valid if its manifest is whole and every file has the size and
// checksum of the manifest. This file does not know what the tensors mean.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/models/tensor_set.hpp"
#include "distributed/checkpoints/checkpoint_manifest.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

class Checkpoint {
 public:
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::int64_t step() const { return manifest_.step; }
  [[nodiscard]] std::int64_t consumed_samples() const { return manifest_.consumed_samples; }
  [[nodiscard]] const nlohmann::json& sections() const { return manifest_.sections; }
  [[nodiscard]] const CheckpointManifest& manifest() const { return manifest_; }
  /// The digest of the manifest. It contains the checksum of every file, so equal digests mean equal
  /// checkpoints.
  [[nodiscard]] std::string digest() const;
  /// The tensors have global names and unsharded shapes.
  [[nodiscard]] const TensorSet& model() const { return model_; }
  [[nodiscard]] const TensorSet& optimizer() const { return optimizer_; }
  [[nodiscard]] std::vector<std::filesystem::path> extra_files() const;

 private:
  friend Checkpoint open_checkpoint(const std::filesystem::path& directory);
  std::filesystem::path path_;
  CheckpointManifest manifest_;
  TensorSet model_;
  TensorSet optimizer_;
};

/// Reads every byte once to verify it. Throws a user error that says what is damaged, or NewerCheckpoint.
[[nodiscard]] Checkpoint open_checkpoint(const std::filesystem::path& directory);
/// True if the directory holds a manifest, damaged or not.
[[nodiscard]] bool is_checkpoint(const std::filesystem::path& directory);

struct DamagedCheckpoint {
  std::filesystem::path path;
  std::string reason;
};

struct FoundCheckpoint {
  std::optional<Checkpoint> checkpoint;        ///< nothing if there is no valid one
  std::vector<DamagedCheckpoint> passed_over;  ///< newer ones that are damaged, newest first
};

/// The valid checkpoint of the highest step below `<run>/checkpoints`. If a newer program wrote a later one,
/// it throws NewerCheckpoint and does not go on from an older state. A run that goes on meanwhile may remove
/// what was listed. Then the directory is listed again.
[[nodiscard]] FoundCheckpoint find_newest_valid(const std::filesystem::path& run_directory);

/// The same for the ranks of a job. Rank 0 names the steps. A checkpoint that no rank can read is passed
/// over. If only some ranks can read it, all throw exit code 2. If ranks have different ones under its name,
/// all throw 76. Otherwise the run would go on from an older checkpoint and overwrite this one.
[[nodiscard]] FoundCheckpoint find_newest_valid(Communicator& ranks,
                                                const std::filesystem::path& run_directory);

/// The same below a directory of checkpoints with any name.
[[nodiscard]] FoundCheckpoint find_newest_in(const std::filesystem::path& checkpoints);

struct StepDirectory {
  std::int64_t step;
  std::filesystem::path path;
};

/// Directories that have the names of checkpoints, newest first, whatever is in them.
[[nodiscard]] std::vector<StepDirectory> list_checkpoints(const std::filesystem::path& run_directory);
[[nodiscard]] std::vector<StepDirectory> list_steps_in(const std::filesystem::path& checkpoints);
[[nodiscard]] std::filesystem::path checkpoints_of(const std::filesystem::path& run_directory);
[[nodiscard]] std::string checkpoint_name(std::int64_t step);  ///< "step-00001000"

}  // namespace granule
