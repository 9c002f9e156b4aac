// Removing what a run does not need any more beside its checkpoints: old ones, and what killed jobs left
// unfinished. Nothing here ends a run: what cannot be removed is a warning, and is tried again.
#pragma once
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "data/files/disk.hpp"

namespace granule {

/// Takes a line for people.
using WarnOf = std::function<void(const std::string& line)>;

class CheckpointTidy {
 public:
  /// `directory` holds the checkpoints of a run and need not be there yet.
  CheckpointTidy(std::filesystem::path directory, WarnOf warn, Disk& disk = Disk::system());

  /// Removes what killed jobs left unfinished. Called under the lock of the run, while nothing is written.
  void sweep();
  /// Moves a checkpoint out of the way; throws io_error where that fails. Its files go afterwards, if they
  /// can be removed: the next sweep tries again.
  void discard(const std::filesystem::path& checkpoint);
  /// A new directory to write a checkpoint into. What lies there from before gives way or is gone round.
  [[nodiscard]] std::filesystem::path make_aside(const std::string& name);
  /// Does what a run can go on without: its failure is a warning, said once for each text. False when it
  /// failed.
  bool attempt(const std::function<void()>& work);

 private:
  void remove(const std::filesystem::path& leftover);

  std::filesystem::path directory_;
  WarnOf warn_;
  Disk* disk_;
  std::set<std::string> said_;
};

/// What a killed job left unfinished in a run directory and below its `checkpoints/`.
void sweep_leftovers(const std::filesystem::path& run_directory, const WarnOf& warn);

}  // namespace granule
