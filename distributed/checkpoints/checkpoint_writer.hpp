// Saves checkpoints. At every moment, whatever fails and whenever the process dies, the newest one that was
// reported as saved is there and whole. One process writes; it holds the RunLock of the run directory.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/models/safetensors_writer.hpp"
#include "distributed/checkpoints/checkpoint_tidy.hpp"

namespace granule {

struct CheckpointOptions {
  std::filesystem::path run_directory;          ///< must exist
  std::int64_t keep = 0;                        ///< number of newest ones that are kept; 0 keeps all
  std::int64_t max_file_bytes = 5'000'000'000;  ///< of the tensors in one file
  WarnOf warn = {};                             ///< is told of what cannot be removed now
};

/// Throws a user error unless the disk has room for the next `saves` checkpoints of `bytes` each, beside
/// those that are there. The error has exit code 2, because nothing is being saved yet and the place is the
/// user's choice. At most keep + 1 are needed, because the oldest is removed when the newest is in place.
/// With keep = 0 nobody knows what will be moved away, and one must fit. A file system that does not tell its
/// free space passes. The run directory need not exist yet.
void require_room(const std::filesystem::path& run_directory, std::int64_t bytes, std::int64_t keep,
                  std::int64_t saves, Disk& disk = Disk::system());

struct CheckpointContent {
  std::int64_t step;
  std::int64_t consumed_samples;
  const nlohmann::json& sections;       ///< an object; see CheckpointManifest
  std::span<const TensorToSave> model;  ///< global names, unsharded shapes
  std::span<const TensorToSave> optimizer;
  /// They are copied under their own names, for which is_plain_file_name() is true.
  std::vector<std::filesystem::path> extra_files = {};
  /// Is called when everything is on the disk and nothing is in place yet. Ranks that save together agree
  /// here.
  std::function<void()> before_commit = {};
};

class CheckpointWriter {
 public:
  /// Creates `checkpoints/`, or throws io_error (exit code 74). Removes what a killed job left unfinished.
  explicit CheckpointWriter(CheckpointOptions options, Disk& disk = Disk::system());

  /// The run goes on from this step. Newer checkpoints were passed over, and save() replaces them. It cannot
  /// judge that itself, because another host may be able to read a file that this one cannot.
  void resumed_from(std::int64_t step) { resumed_from_ = step; }

  /// Returns when the checkpoint is in place. If old ones cannot be removed, or `latest` cannot be written,
  /// that is a warning, and the next save tries again. Throws io_error if it fails, and exit code 77 if a
  /// tensor has NaN or infinity. The checkpoints that were there then stay as they are, and a call with the
  /// same step tries again. The caller must not save a step that already has a valid checkpoint. The
  /// exception is one from an earlier job that was passed over, as resumed_from() says.
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
