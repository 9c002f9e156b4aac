// The program under an MPI launcher: one rank works as without one, several are refused by name.
#include "distributed/mpi/launcher.hpp"

#include <catch2/catch.hpp>

#include "tests/support/mpirun.hpp"

using namespace granule;
using namespace granule::test;

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
  const ProgramResult one = under_mpirun(1, {GRANULE_PROGRAM, "train", "absent.toml", "--out", "nowhere"});
  INFO(one.err);
  CHECK(one.exit_code == 2);
  CHECK(one.err.find("absent.toml") != std::string::npos);
  const ProgramResult two = under_mpirun(2, {GRANULE_PROGRAM, "train", "absent.toml", "--out", "nowhere"});
  INFO(two.err);
  CHECK(two.exit_code == 2);
  CHECK(two.err.find("2 ranks is not built yet") != std::string::npos);
}
