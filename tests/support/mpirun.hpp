// Runs a program as ranks under mpirun, with the options that a container and few cores need.
#pragma once
#include "tests/support/run_program.hpp"

namespace granule::test {

/// A job that runs at the same time as the test, and whose ranks can get signals.
class RunningRanks {
 public:
  /// `words` is the program and its arguments. `options` are those of mpirun, except for its name.
  RunningRanks(int ranks, std::vector<std::string> words, ProgramOptions options = {});
  /// Kills what still runs, also ranks that were stopped.
  ~RunningRanks();
  RunningRanks(const RunningRanks&) = delete;
  RunningRanks& operator=(const RunningRanks&) = delete;

  [[nodiscard]] RunningProgram& launcher() { return launcher_; }
  /// The process of a rank, or -1 if there is none.
  [[nodiscard]] pid_t process(int rank) const;

 private:
  // Each job has its own session directory, because killed jobs leave theirs behind.
  TempDir session_;
  int ranks_;
  RunningProgram launcher_;
};

/// Runs a job until it ends.
[[nodiscard]] ProgramResult under_mpirun(int ranks, std::vector<std::string> words,
                                         ProgramOptions options = {});

}  // namespace granule::test
