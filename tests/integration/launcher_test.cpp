// The program under an MPI launcher: one rank works as without one, several are refused by name.
#include <fstream>

#include <catch2/catch.hpp>

#include "distributed/communicator.hpp"
#include "tests/support/run_program.hpp"

using namespace granule;
using namespace granule::test;

namespace {

ProgramResult under_mpirun(const std::string& ranks, std::vector<std::string> arguments) {
  std::vector<std::string> words{"--oversubscribe",     "--bind-to", "none", "--mca",
                                 "mpi_yield_when_idle", "1",         "-np",  ranks,
                                 GRANULE_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const TempDir session;  // killed jobs leave their session directories behind: each gets one of its own
  words.insert(words.begin(), {"--mca", "orte_tmpdir_base", session.path().string()});
  // OpenMPI keeps memory to the end of the process: under a sanitizer its leaks would change the exit code.
  return run_program(words, {.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                             {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                             {"ASAN_OPTIONS", "detect_leaks=0"}},
                             .program = "/usr/bin/mpirun"});
}

}  // namespace

TEST_CASE("a job without a launcher has one rank, whose way out is an exception") {
  CHECK_FALSE(under_mpi_launcher());
  const auto ranks = make_communicator();
  CHECK(ranks->rank() == 0);
  CHECK(ranks->size() == 1);
  try {
    ranks->abort(ExitCode::hang, "stuck");
    FAIL("abort returned");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::hang);
  }
}

TEST_CASE("under mpirun one rank runs and reports errors as ever, and two are refused") {
  const ProgramResult one = under_mpirun("1", {"train", "absent.toml", "--out", "nowhere"});
  INFO(one.err);
  CHECK(one.exit_code == 2);
  CHECK(one.err.find("absent.toml") != std::string::npos);
  const ProgramResult two = under_mpirun("2", {"train", "absent.toml", "--out", "nowhere"});
  INFO(two.err);
  CHECK(two.exit_code == 2);
  CHECK(two.err.find("2 ranks is not built yet") != std::string::npos);
}
