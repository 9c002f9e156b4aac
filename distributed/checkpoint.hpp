// Checkpoints as they are read: a directory is valid when its manifest is whole and every file has the size
// and checksum that the manifest states. What the tensors mean is not known here.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/models/tensor_set.hpp"
#include "distributed/checkpoint_manifest.hpp"
#include "distributed/communicators/communicator.hpp"

namespace granule {

class Checkpoint {
 public:
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::int64_t step() const { return manifest_.step; }
  [[nodiscard]] std::int64_t consumed_samples() const { return manifest_.consumed_samples; }
  [[nodiscard]] const nlohmann::json& sections() const { return manifest_.sections; }
  [[nodiscard]] const CheckpointManifest& manifest() const { return manifest_; }
  /// Of the manifest, which states the checksum of every file: equal digests are equal checkpoints.
  [[nodiscard]] std::string digest() const;
  /// Global names, unsharded shapes.
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
/// True when the directory holds a manifest, damaged or not.
[[nodiscard]] bool is_checkpoint(const std::filesystem::path& directory);

struct DamagedCheckpoint {
  std::filesystem::path path;
  std::string reason;
};

struct FoundCheckpoint {
  std::optional<Checkpoint> checkpoint;        ///< nothing when there is no valid one
  std::vector<DamagedCheckpoint> passed_over;  ///< newer than it, newest first
};

/// The valid checkpoint of the highest step below `<run>/checkpoints`. Throws NewerCheckpoint rather than
/// going on from an older state than the run has. A run that goes on meanwhile may remove what was listed:
/// then it is listed again.
[[nodiscard]] FoundCheckpoint find_newest_valid(const std::filesystem::path& run_directory);

/// The same for the ranks of a job, of which rank 0 names the steps. A checkpoint that no rank can read is
/// passed over. Throws, on all ranks, where some can read it and some cannot (exit 2), and where ranks have
/// different ones under its name (76): an older one would be gone on from, and this one overwritten.
[[nodiscard]] FoundCheckpoint find_newest_valid(Communicator& ranks,
                                                const std::filesystem::path& run_directory);

/// The same below a directory of checkpoints, whatever its name.
[[nodiscard]] FoundCheckpoint find_newest_in(const std::filesystem::path& checkpoints);

struct StepDirectory {
  std::int64_t step;
  std::filesystem::path path;
};

/// Directories named as checkpoints, newest first, whatever they hold.
[[nodiscard]] std::vector<StepDirectory> list_checkpoints(const std::filesystem::path& run_directory);
[[nodiscard]] std::vector<StepDirectory> list_steps_in(const std::filesystem::path& checkpoints);
[[nodiscard]] std::filesystem::path checkpoints_of(const std::filesystem::path& run_directory);
[[nodiscard]] std::string checkpoint_name(std::int64_t step);  ///< "step-00001000"

}  // namespace granule
