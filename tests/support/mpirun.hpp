// Runs a program as ranks under mpirun, with what it needs in a container and on few cores.
#pragma once
#include "tests/support/run_program.hpp"

namespace granule::test {

/// A job that runs beside the test, whose ranks can be signalled.
class RunningRanks {
 public:
  /// `words` is the program and its arguments; `options` are of mpirun, but for its name.
  RunningRanks(int ranks, std::vector<std::string> words, ProgramOptions options = {});
  /// Kills what still runs, ranks that were stopped too.
  ~RunningRanks();
  RunningRanks(const RunningRanks&) = delete;
  RunningRanks& operator=(const RunningRanks&) = delete;

  [[nodiscard]] RunningProgram& launcher() { return launcher_; }
  /// The process of a rank; -1 when there is none.
  [[nodiscard]] pid_t process(int rank) const;

 private:
  TempDir session_;  // killed jobs leave their session directories behind: each gets one of its own
  int ranks_;
  RunningProgram launcher_;
};

/// Runs a job to its end.
[[nodiscard]] ProgramResult under_mpirun(int ranks, std::vector<std::string> words,
                                         ProgramOptions options = {});

}  // namespace granule::test
