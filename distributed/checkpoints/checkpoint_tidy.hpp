// Removes what a run no longer needs: old checkpoints, and what killed jobs left unfinished. Nothing here
// ends a run. What cannot be removed causes a warning and is tried again.
#pragma once
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "data/files/disk.hpp"

namespace granule {

/// Takes a line that people read.
using WarnOf = std::function<void(const std::string& line)>;

class CheckpointTidy {
 public:
  /// `directory` has the checkpoints of a run. It need not exist yet.
  CheckpointTidy(std::filesystem::path directory, WarnOf warn, Disk& disk = Disk::system());

  /// Removes what killed jobs left unfinished. Call it under the lock of the run, while nothing is written.
  void sweep();
  /// Moves a checkpoint out of the way, or throws io_error. Afterwards its files are removed if possible;
  /// otherwise the next sweep tries again.
  void discard(const std::filesystem::path& checkpoint);
  /// A new directory to write a checkpoint into. An old one of the same name is removed, or another name is
  /// chosen.
  [[nodiscard]] std::filesystem::path make_aside(const std::string& name);
  /// Does work that a run does not depend on. A failure is a warning, which is printed once for each text.
  /// Returns false if it failed.
  bool attempt(const std::function<void()>& work);

 private:
  void remove(const std::filesystem::path& leftover);

  std::filesystem::path directory_;
  WarnOf warn_;
  Disk* disk_;
  std::set<std::string> said_;
};

/// Removes what a killed job left unfinished in a run directory and below its `checkpoints/`.
void sweep_leftovers(const std::filesystem::path& run_directory, const WarnOf& warn);

}  // namespace granule
