#include "distributed/checkpoints/checkpoint_tidy.hpp"

#include <utility>
#include <vector>

#include "core/error.hpp"
#include "distributed/checkpoints/checkpoint.hpp"

namespace granule {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kAside = "tmp.";
constexpr std::string_view kTrash = "trash.";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// The names in a directory, or none if it cannot be listed.
std::vector<fs::path> entries_of(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    entries.push_back(entry->path());
  return entries;
}

}  // namespace

CheckpointTidy::CheckpointTidy(fs::path directory, WarnOf warn, Disk& disk)
    : directory_(std::move(directory)), warn_(std::move(warn)), disk_(&disk) {}

bool CheckpointTidy::attempt(const std::function<void()>& work) try {
  work();
  return true;
} catch (const Error& error) {
  if (warn_ && said_.insert(error.what()).second)
    warn_(std::string(error.what()) + "; the next save tries again, the checkpoints are safe");
  return false;
}

void CheckpointTidy::remove(const fs::path& leftover) {
  attempt([&] { remove_tree(leftover, kManifestName, *disk_); });
}

void CheckpointTidy::sweep() {
  for (const fs::path& entry : entries_of(directory_)) {
    const std::string name = entry.filename().string();
    if (name.starts_with(kAside) || name.starts_with(kTrash)) {
      remove(entry);
    } else if (is_unfinished(name)) {
      attempt([&] {
        if (disk_->unlink(entry.c_str()) != 0) throw_errno("remove the file", entry);
      });
    }
  }
}

/// It is renamed first, so that no half-removed directory has the name of a checkpoint.
void CheckpointTidy::discard(const fs::path& checkpoint) {
  fs::path trash;
  int number = 0;
  do {
    trash = directory_ / fmt::format("{}{}.{}", kTrash, checkpoint.filename().string(), number++);
  } while (is_there(trash));
  rename_durably(checkpoint, trash, *disk_);
  remove(trash);
}

fs::path CheckpointTidy::make_aside(const std::string& name) {
  fs::path aside = directory_ / fmt::format("{}{}", kAside, name);
  for (int number = 1; is_there(aside); ++number) {
    remove(aside);
    if (is_there(aside)) aside = directory_ / fmt::format("{}{}.{}", kAside, name, number);
  }
  make_directory(aside, *disk_);
  return aside;
}

void sweep_leftovers(const fs::path& run_directory, const WarnOf& warn) {
  CheckpointTidy(checkpoints_of(run_directory), warn).sweep();
  for (const fs::path& entry : entries_of(run_directory)) {
    if (!is_unfinished(entry.filename().string())) continue;
    std::error_code error;
    fs::remove(entry, error);
    if (error && warn) warn(fmt::format("cannot remove {}: {}", entry.string(), error.message()));
  }
}

}  // namespace granule
