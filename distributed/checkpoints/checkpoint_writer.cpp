#include "distributed/checkpoints/checkpoint_writer.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "data/models/finite.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLatest = "latest";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool is_valid(const fs::path& checkpoint) {
  try {
    (void)open_checkpoint(checkpoint);
    return true;
  } catch (const NewerCheckpoint&) {
    throw;
  } catch (const Error&) {
    return false;
  }
}

/// A cheap check, for counting: the manifest is whole and the files have their sizes.
bool looks_valid(const fs::path& checkpoint) {
  try {
    const CheckpointManifest manifest = load_manifest(checkpoint);
    return std::all_of(manifest.files.begin(), manifest.files.end(), [&](const WrittenFile& file) {
      std::error_code error;
      const auto size = fs::file_size(checkpoint / file.name, error);
      return !error && static_cast<std::int64_t>(size) == file.size;
    });
  } catch (const Error&) {
    return false;
  }
}

/// The same tensors, but reading a piece that is not finite throws. They are checked on the way to the disk,
/// because ranks may hold parts of a tensor that come together only there.
std::vector<TensorToSave> refused_unless_finite(std::span<const TensorToSave> tensors, std::int64_t step) {
  std::vector<TensorToSave> watched;
  for (const TensorToSave& tensor : tensors) {
    const auto read = [tensor, step](std::int64_t offset, std::span<std::byte> out) {
      tensor.read(offset, out);
      if (!first_not_finite(tensor.spec.dtype, out)) return;
      throw Error(
          ExitCode::non_finite, fmt::format("'{}' is not finite after step {}", tensor.spec.name, step),
          checkpoint_name(step),
          "it is not saved, earlier checkpoints stay: the run has diverged, start again from one of them "
          "with --init-from and a lower optim.lr");
    };
    watched.push_back({tensor.spec, read});
  }
  return watched;
}

void check_extra_files(const CheckpointContent& content) {
  for (const fs::path& file : content.extra_files) {
    const std::string name = file.filename().string();
    GRANULE_CHECK(is_plain_file_name(name) && !name.ends_with(".safetensors") && name != kManifestName,
                  "checkpoint: '{}' is not a name for an extra file", name);
  }
}

}  // namespace

void require_room(const fs::path& run_directory, std::int64_t bytes, std::int64_t keep, std::int64_t saves,
                  Disk& disk) {
  const auto there = static_cast<std::int64_t>(list_checkpoints(run_directory).size());
  const std::int64_t wanted =
      std::min(saves, keep == 0 ? std::int64_t{1} : std::max<std::int64_t>(keep + 1 - there, 1));
  // The checkpoints may be a link to another disk.
  fs::path place = fs::absolute(checkpoints_of(run_directory));
  while (!fs::exists(place)) place = place.parent_path();
  struct ::statvfs status {};
  if (disk.statvfs(place.c_str(), &status) != 0 || status.f_blocks == 0) return;
  const double free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
  const double needed = static_cast<double>(bytes) * static_cast<double>(wanted);
  if (needed <= free) return;
  constexpr double kMiB = 1 << 20;
  user_error(fmt::format("no room for checkpoints: {} of {:.1f} MiB each, and {:.1f} MiB are free", wanted,
                         static_cast<double>(bytes) / kMiB, free / kMiB),
             run_directory.string(),
             keep > 1 ? "free space, lower checkpoint.keep, or give --out another disk"
                      : "free space, or give --out another disk");
}

CheckpointWriter::CheckpointWriter(CheckpointOptions options, Disk& disk)
    : options_(std::move(options)),
      directory_(checkpoints_of(options_.run_directory)),
      disk_(&disk),
      tidy_(directory_, options_.warn, disk) {
  GRANULE_CHECK(options_.keep >= 0, "checkpoint: keep {} checkpoints", options_.keep);
  if (!is_there(directory_)) make_directory(directory_, *disk_);
  std::error_code error;
  if (!fs::is_directory(directory_, error))
    io_error("the place of the checkpoints is not a directory, or it is a link to nothing",
             directory_.string(), "make the directory that it links to, or remove it");
  tidy_.sweep();
}

void CheckpointWriter::save(const CheckpointContent& content) {
  GRANULE_CHECK(content.step >= 0 && content.consumed_samples >= 0, "checkpoint: step {}, {} samples",
                content.step, content.consumed_samples);
  check_extra_files(content);
  if (published_ != content.step) {
    const fs::path target = directory_ / checkpoint_name(content.step);
    const bool passed_over = resumed_from_ && content.step > *resumed_from_;
    GRANULE_CHECK(passed_over || !is_there(target) || !is_valid(target),
                  "checkpoint: step {} has been saved before", content.step);
    const fs::path aside = tidy_.make_aside(checkpoint_name(content.step));
    try {
      write_aside(aside, content);
      if (content.before_commit) content.before_commit();
      publish(aside, content.step);
    } catch (...) {
      try_remove_tree(aside, *disk_);
      throw;
    }
  }
  finish(content.step);
}

void CheckpointWriter::write_aside(const fs::path& aside, const CheckpointContent& content) {
  const auto numbered = ShardNames::numbered;
  CheckpointManifest manifest{content.step, content.consumed_samples, content.sections, {}};
  manifest.files = write_tensors(aside, "model", refused_unless_finite(content.model, content.step),
                                 options_.max_file_bytes, numbered, *disk_)
                       .files;
  const auto optimizer = write_tensors(aside, "optim", refused_unless_finite(content.optimizer, content.step),
                                       options_.max_file_bytes, numbered, *disk_);
  manifest.files.insert(manifest.files.end(), optimizer.files.begin(), optimizer.files.end());
  for (const fs::path& file : content.extra_files) {
    manifest.files.push_back(copy_durably(file, aside / file.filename(), *disk_));
  }
  write_file(aside / kManifestName, manifest_text(manifest), *disk_);
}

/// The rename commits: everything in the directory is durable before it.
void CheckpointWriter::publish(const fs::path& aside, std::int64_t step) {
  const fs::path target = directory_ / checkpoint_name(step);
  if (is_there(target)) tidy_.discard(target);  // damaged or passed over; save() refuses any other
  if (disk_->rename(aside.c_str(), target.c_str()) != 0)
    throw_errno("rename the new checkpoint to its place", target);
  published_ = step;
}

/// The checkpoint is in place. A failure from here on is no reason to end a run.
void CheckpointWriter::finish(std::int64_t step) {
  // An old checkpoint is removed only when the new one is sure to stay.
  const bool durable = tidy_.attempt([&] { sync_directory(directory_, *disk_); });
  tidy_.attempt([&] { write_file(directory_ / kLatest, checkpoint_name(step) + "\n", *disk_); });
  if (!durable) return;
  tidy_.sweep();
  tidy_.attempt([&] { retire_old(step); });
}

/// It does not count damaged ones, nor newer ones, which were passed over when the run resumed.
void CheckpointWriter::retire_old(std::int64_t newest) {
  if (options_.keep == 0) return;
  std::int64_t kept = 0;
  for (const StepDirectory& listed : list_checkpoints(options_.run_directory)) {
    if (listed.step > newest) continue;
    if (kept >= options_.keep) {
      tidy_.discard(listed.path);
    } else if (listed.step == newest || looks_valid(listed.path)) {
      ++kept;
    }
  }
}

}  // namespace granule
