#include "tests/support/mpirun.hpp"

#include <fmt/format.h>

namespace granule::test {

ProgramResult under_mpirun(int ranks, std::vector<std::string> words) {
  const TempDir session;  // killed jobs leave their session directories behind: each gets one of its own
  const std::vector<std::string> flags{"--mca",
                                       "orte_tmpdir_base",
                                       session.path().string(),
                                       "--mca",
                                       "btl_vader_backing_directory",
                                       session.path().string(),
                                       "--mca",
                                       "mpi_yield_when_idle",
                                       "1",
                                       "--oversubscribe",
                                       "--bind-to",
                                       "none",
                                       "-np",
                                       fmt::format("{}", ranks)};
  words.insert(words.begin(), flags.begin(), flags.end());
  // OpenMPI keeps memory to the end of the process: under a sanitizer its leaks would change the exit code.
  return run_program(words, {.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                             {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                             {"ASAN_OPTIONS", "detect_leaks=0"},
                                             {"TSAN_OPTIONS", "ignore_noninstrumented_modules=1"}},
                             .program = "/usr/bin/mpirun"});
}

}  // namespace granule::test
