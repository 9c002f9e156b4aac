// Saving checkpoints so that at every moment, whatever fails and whenever the process dies, the newest one
// that was reported as saved is there and whole. One process writes; it holds the RunLock of the run
// directory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/models/safetensors_writer.hpp"
#include "distributed/checkpoint_tidy.hpp"

namespace granule {

struct CheckpointOptions {
  std::filesystem::path run_directory;          ///< must exist
  std::int64_t keep = 0;                        ///< newest ones kept; 0 keeps all
  std::int64_t max_file_bytes = 5'000'000'000;  ///< of tensors in one file
  WarnOf warn = {};                             ///< of what could not be tidied away, for now
};

/// Throws a user error (exit 2: nothing is being saved yet, and the place is the user's choice) unless the
/// disk has room for what the next `saves` checkpoints of `bytes` each leave beside those that are there:
/// keep + 1 at most, since the oldest goes when the newest is in place. With keep = 0 nobody knows what will
/// be moved away, and one must fit. A file system that does not tell its free space passes. The run directory
/// need not exist yet.
void require_room(const std::filesystem::path& run_directory, std::int64_t bytes, std::int64_t keep,
                  std::int64_t saves, Disk& disk = Disk::system());

struct CheckpointContent {
  std::int64_t step;
  std::int64_t consumed_samples;
  const nlohmann::json& sections;       ///< an object; see CheckpointManifest
  std::span<const TensorToSave> model;  ///< global names, unsharded shapes
  std::span<const TensorToSave> optimizer;
  std::vector<std::filesystem::path> extra_files =
      {};  ///< copied under their own names, which is_plain_file_name()
  /// Called when everything is on the disk and nothing is in place yet: where ranks that save together agree.
  std::function<void()> before_commit = {};
};

class CheckpointWriter {
 public:
  /// Creates `checkpoints/`, or throws io_error (exit 74), and removes what a killed job left unfinished.
  explicit CheckpointWriter(CheckpointOptions options, Disk& disk = Disk::system());

  /// The run goes on from this step: newer checkpoints were passed over, and save() replaces them. Whether a
  /// file can be read may be another matter on another host.
  void resumed_from(std::int64_t step) { resumed_from_ = step; }

  /// Returns when the checkpoint is in place. Old ones that cannot be removed then, and a `latest` that
  /// cannot be written, are warnings and tried again at the next save. Throws io_error when it fails, and
  /// exit code 77 when a tensor holds NaN or infinity; the checkpoints that were there stay as they are, and
  /// calling it again with the same step tries again. The caller must not save a step that already has a
  /// valid checkpoint from an earlier job, unless resumed_from() says that this checkpoint was passed over.
  void save(const CheckpointContent& content);

 private:
  void write_aside(const std::filesystem::path& aside, const CheckpointContent& content);
  void publish(const std::filesystem::path& aside, std::int64_t step);
  void finish(std::int64_t step);
  void retire_old(std::int64_t newest);

  CheckpointOptions options_;
  std::filesystem::path directory_;  ///< `<run>/checkpoints`
  Disk* disk_;
  CheckpointTidy tidy_;
  std::optional<std::int64_t> published_;  ///< the step last renamed into place
  std::optional<std::int64_t> resumed_from_;
};

}  // namespace granule
