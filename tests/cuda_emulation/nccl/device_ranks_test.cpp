// Tensors on emulated CUDA devices, which NCCL carries between the ranks of mpirun: the cases that every
// communicator must pass, and how jobs end in which a rank does something wrong.
#include <fmt/format.h>

#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"

using Catch::Contains;
using granule::test::ProgramResult;
using granule::test::under_mpirun;

namespace {

ProgramResult ranks(int n, const std::string& mode, std::map<std::string, std::string> more = {},
                    std::chrono::seconds timeout = std::chrono::seconds(600)) {
  more.insert({{"GRANULE_TEST_DEVICE", "cuda"}, {"GRANULE_CUDA_PLUGIN", GRANULE_CUDA_EMULATED}});
  return under_mpirun(n, {GRANULE_DEVICE_RANKS, mode}, {.environment = std::move(more), .timeout = timeout});
}

void expect_76(int n, const std::string& mode, const std::string& one, const std::string& other) {
  const ProgramResult result = ranks(n, mode, {{"GRANULE_EMULATED_NCCL", "compare-nothing"}});
  INFO(mode << '\n' << result.err);
  CHECK(result.exit_code == 76);
  CHECK_THAT(result.err, Contains(one) && Contains(other));
}

/// Every collective and some steps, under this many seeds of everything that is random.
void expect_seeds(int n, int seeds) {
  const ProgramResult result =
      ranks(n, "seeds", {{"GRANULE_TEST_SEEDS", std::to_string(seeds)}}, std::chrono::minutes(25));
  INFO(result.err);
  CHECK_FALSE(result.timed_out);
  CHECK(result.exit_code == 0);
  CHECK(result.out == fmt::format("{} seeds passed on {}\n", seeds, n));
}

}  // namespace

TEST_CASE("nccl carrier: every collective does the right thing with tensors of devices on 1, 2 and 4 ranks") {
  for (const int n : {1, 2, 4}) {
    const ProgramResult result = ranks(n, "cases");
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.out == fmt::format("all cases passed on {}\n", n));
  }
}

TEST_CASE("nccl carrier: ranks may come and go at random moments") {
  const ProgramResult result = ranks(3, "uneven-cases", {{"GRANULE_EMULATED_SCHEDULE", "2"}});
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("nccl carrier: sums in NCCL's own order have other bits, and everything else is the same") {
  // Two addends have one sum, in either order.
  for (const auto& [n, others] : {std::pair{2, 0}, std::pair{4, 3}}) {
    const ProgramResult result = ranks(n, "cases-in-any-order");
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.out == fmt::format("{} sums in another order on {}\n", others, n));
  }
}

TEST_CASE(
    "nccl carrier: hundreds of collectives of several groups are right in five orders of streams and ranks") {
  expect_seeds(4, 5);
}

TEST_CASE("nccl carrier: every collective is right in a thousand orders, and none is a deadlock",
          "[.seeds]") {
  for (const auto& [n, seeds] : {std::pair{2, 500}, std::pair{3, 300}, std::pair{4, 200}})
    expect_seeds(n, seeds);
}

TEST_CASE("nccl carrier: a call that is skipped, swapped or repeated ends the job with 76") {
  expect_76(4, "skip", "in all_reduce 'second'", "in all_reduce 'third'");
  expect_76(2, "swap", "in all_reduce 'first'", "in all_reduce 'second'");
  expect_76(2, "kind", "in barrier 'same'", "in all_reduce 'same'");
  expect_76(2, "size", "of 4 f32", "of 5 f32");
  expect_76(2, "repeat", "step 2", "step 3");
  expect_76(3, "leave", "done (number 0", "in all_reduce 'waiting'");
  for (const std::string mode : {"rows", "fewer", "more", "gather-fewer"})
    expect_76(2, mode, "elements was expected from rank", "exchange the row counts first");
}

TEST_CASE("nccl carrier: no result is read before the ranks have compared the collective") {
  const ProgramResult result = ranks(2, "uncompared");
  INFO(result.err);
  CHECK(result.exit_code == 76);
  CHECK_THAT(result.err, !Contains("a result was read"));
}

TEST_CASE(
    "nccl carrier: a rank that hangs ends the job with 75, and the carriers of the others are aborted") {
  for (const std::string how : {"stop", "sleep"}) {
    const ProgramResult result = ranks(3, "hang-" + how, {{"GRANULE_EMULATED_NCCL", "tell"}});
    INFO(how << '\n' << result.err);
    CHECK_FALSE(result.timed_out);
    CHECK(result.exit_code == 75);
    for (const std::string rank : {"rank 0", "rank 2"})
      CHECK_THAT(result.err, Contains(rank + " has not moved for") && Contains("in all_reduce 'second'"));
    CHECK_THAT(result.err, Contains("emulated NCCL: aborted on rank"));
  }
}

TEST_CASE("nccl carrier: an error of NCCL ends the job with the step, the phase and the last collective") {
  const ProgramResult result = ranks(2, "repeat", {{"GRANULE_EMULATED_NCCL", "fail=2"}});
  INFO(result.err);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.err, Contains("NCCL: remote process exited") && Contains("step 1, phase") &&
                             Contains("all_reduce 'layer'"));
}

TEST_CASE("nccl carrier: ranks that do not find each other in time end with 75") {
  const ProgramResult result = ranks(2, "cases", {{"GRANULE_EMULATED_NCCL", "never-connect"}});
  INFO(result.err);
  CHECK(result.exit_code == 75);
  CHECK_THAT(result.err, Contains("NCCL is not done after 5 s"));
}

TEST_CASE("nccl carrier: an exception of one rank ends the job") {
  const ProgramResult thrown = ranks(4, "throw-in-mesh");
  INFO(thrown.err);
  CHECK(thrown.exit_code == 2);
  CHECK_FALSE(thrown.timed_out);
  CHECK_THAT(thrown.err, Contains("granule: error: rank 1: no such file (data.path): name one\n"));
}
