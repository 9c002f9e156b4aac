// The same cases under mpirun, and what happens to the job if a rank does something wrong there.
#include <fmt/format.h>

#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"

using Catch::Contains;
using granule::test::ProgramResult;
using granule::test::run_program;
using granule::test::under_mpirun;

namespace {

ProgramResult ranks(int n, const std::string& mode) {
  return under_mpirun(n, {GRANULE_RANKS, mode});
}

}  // namespace

TEST_CASE("mpi: under mpirun every collective does the right thing on 1, 2 and 4 ranks") {
  for (const int n : {1, 2, 4}) {
    const ProgramResult result = ranks(n, "cases");
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.out == fmt::format("all cases passed on {}\n", n));
  }
}

TEST_CASE(
    "mpi: under mpirun every collective does the right thing on ranks that come and go at random moments") {
  const ProgramResult result = ranks(3, "uneven-cases");
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("mpi: under mpirun messages longer than the largest one are cut") {
  // Every kind of collective has cases with sizes below, at a multiple of, and above each of these.
  for (const std::string largest : {"1", "3", "7", "33"}) {
    const ProgramResult result =
        under_mpirun(3, {GRANULE_RANKS, "cases", largest}, {.timeout = std::chrono::minutes(10)});
    INFO(largest << '\n' << result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.out == "all cases passed on 3\n");
  }
}

TEST_CASE("mpi: under mpirun a rank out of step ends the job with 76 and both phases are named") {
  const auto expect_76 = [](int n, const std::string& mode, const std::string& one,
                            const std::string& other) {
    const ProgramResult result = ranks(n, mode);
    INFO(mode << '\n' << result.err);
    CHECK(result.exit_code == 76);
    CHECK_THAT(result.err, Contains(one) && Contains(other));
  };
  expect_76(4, "skip", "in all_reduce 'second'", "in all_reduce 'third'");
  expect_76(2, "kind", "in barrier 'same'", "in all_reduce 'same'");
  expect_76(2, "size", "of 4 f32", "of 5 f32");
  expect_76(2, "repeat", "step 2", "step 3");
  expect_76(2, "rows", "in all_to_all 'dispatch'", "elements was expected from rank");
  expect_76(3, "leave", "done (number 0", "in all_reduce 'waiting'");
}

TEST_CASE("mpi: under mpirun rows that the other rank does not expect are found, by whole messages too") {
  // A row has 2 elements, and 4 rows are sent. Compared with that, 2 and 6 rows differ by whole messages of 4
  // and of 2 elements.
  for (const std::string largest : {"1000", "4", "2", "3"}) {
    for (const std::string mode : {"fewer", "more", "gather-fewer"}) {
      const ProgramResult result = under_mpirun(2, {GRANULE_RANKS, mode, largest});
      INFO(mode << ' ' << largest << '\n' << result.err);
      CHECK(result.exit_code == 76);
      CHECK_THAT(result.err, Contains("elements was expected from rank"));
    }
  }
  for (const std::string largest : {"1000000", "131072", "65536"}) {
    const ProgramResult result = under_mpirun(2, {GRANULE_RANKS, "long-fewer", largest});
    INFO(largest << '\n' << result.err);
    CHECK(result.exit_code == 76);
  }
}

TEST_CASE(
    "mpi: under mpirun abort ends every rank with its exit code, and so does an exception that leaves a "
    "rank") {
  const ProgramResult aborted = ranks(3, "abort");
  INFO(aborted.err);
  CHECK(aborted.exit_code == 77);
  CHECK_THAT(aborted.err, Contains("granule: error: rank 1: a loss is not finite\n"));
  const ProgramResult thrown = ranks(2, "throw");
  INFO(thrown.err);
  CHECK(thrown.exit_code == 1);
  CHECK_FALSE(thrown.timed_out);
}

TEST_CASE("mpi: under mpirun an exception that leaves a mesh ends the job as what it is") {
  const ProgramResult thrown = ranks(4, "throw-in-mesh");
  INFO(thrown.err);
  CHECK(thrown.exit_code == 2);
  CHECK_FALSE(thrown.timed_out);
  CHECK_THAT(thrown.err, Contains("granule: error: rank 1: no such file (data.path): name one\n") &&
                             !Contains("left by an exception"));
}

TEST_CASE("mpi: processes that were started together and know nothing of each other are refused") {
  const auto job_in = [](const std::map<std::string, std::string>& environment) {
    return run_program({"job"}, {.environment = environment, .program = GRANULE_RANKS});
  };
  // One is srun without PMI, and the other the launcher of another MPI.
  const std::map<std::string, std::string> srun{{"SLURM_STEP_NUM_TASKS", "4"}},
      other_mpi{{"PMI_RANK", "0"}, {"PMI_SIZE", "4"}};
  for (const auto& environment : {srun, other_mpi}) {
    const ProgramResult result = job_in(environment);
    INFO(result.err);
    CHECK(result.exit_code != 0);
    CHECK_THAT(result.err, Contains("4 processes were started together, but each one is a job of one rank"));
  }
  for (const auto& alone : {std::map<std::string, std::string>{}, {{"SLURM_STEP_NUM_TASKS", "1"}}}) {
    CHECK(job_in(alone).out == "a job of 1\n");
  }
}

TEST_CASE("mpi: under mpirun a job has as many ranks as were started") {
  CHECK_THAT(under_mpirun(2, {GRANULE_RANKS, "job"}).out, Contains("a job of 2\n"));
}
