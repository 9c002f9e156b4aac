// What happens to a job and to its saved data if one of its ranks dies, hangs, gets out of step or computes
// nonsense. Here are each kind of fault and each place. Every combination is in
// tests/long/all_faults_test.cpp.
#include <signal.h>

#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_run.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

/// Two ranks that exchange tokens, gradients, values, and in a save everything.
const std::vector<std::string> kSharded{
    "parallel.ep=2",      "parallel.zero=3", "train.micro_batch_size=1",    "train.dtype=f64",
    "checkpoint.every=5", "eval.every=0",    "parallel.watchdog_seconds=2", "train.steps=8"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// A run that a test stops. Its steps do not depend on their number.
std::vector<std::string> endless(std::int64_t steps) {
  return {"schedule.kind=constant", "train.micro_batch_size=1",
          "parallel.ep=2",          "parallel.zero=2",
          "eval.every=0",           "checkpoint.every=0",
          "log.every=100000",       fmt::format("train.steps={}", steps)};
}

struct Fault {
  std::string kind;
  int rank;
  std::string where;  // the place and the time
};

/// Each of these faults ends a job of two ranks in time, with everything it had saved. After a restart it
/// ends where a job without a fault ends.
void check_faults(const std::vector<Fault>& faults) {
  const Workshop shop;
  const auto run_to_end = [&](const char* out) {
    const auto job = start_faulty(shop, out, {.more = with(kSharded, {"--resume"})});
    const ProgramResult result = job->launcher().wait();
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return shop.tensors(out, 8);
  };
  const std::string wanted = run_to_end("reference"), saved = shop.tensors("reference", 5);
  for (const Fault& one : faults) {
    const std::string fault = fmt::format("{} rank={} {}", one.kind, one.rank, one.where);
    std::filesystem::remove_all(shop.directory / "run");
    const Ending ending = end_of_faulty(shop, "run", {.fault = fault, .more = kSharded});
    const Expected expected = expected_end(one.kind, one.rank);
    INFO(fault << " took " << ending.seconds << " s\n" << ending.result.err);
    CHECK(ending.result.exit_code == expected.code);
    CHECK(expected.is_said_in(ending.result.err));
    // A crash ends within 5 s and a hang within 6 s. The limit is three times that, because many programs may
    // share the cores.
    CHECK(ending.seconds < 3 * (expected.code == 75 ? 6.0 : 5.0));
    const FoundCheckpoint found = find_newest_valid(shop.directory / "run");
    CHECK(found.passed_over.empty());
    CHECK(found.checkpoint.has_value() == one.where.ends_with("step=6"));
    if (found.checkpoint) CHECK(shop.tensors("run", 5) == saved);
    CHECK(run_to_end("run") == wanted);
  }
}

}  // namespace

TEST_CASE("a rank that dies in a step ends the job in time, and the job goes on from its checkpoint") {
  check_faults({{"segfault", 0, "at=compute step=6"},
                {"abort", 1, "at=gradients step=6"},
                {"throw", 1, "at=expert_rows step=6"},
                {"exit", 1, "at=values step=6"},
                {"finalise", 1, "at=compute step=6"},
                {"kill", 1, "at=expert_rows step=6"}});
}

TEST_CASE("a rank that dies in a save ends the job in time, and the job starts again") {
  check_faults({{"throw", 0, "at=checkpoint number=4 step=5"}, {"kill", 0, "at=checkpoint number=9 step=5"}});
}

TEST_CASE("a rank that hangs ends the job in time, and the job goes on from its checkpoint") {
  check_faults({{"stop", 0, "at=checkpoint number=5 step=5"}, {"stop", 1, "at=expert_rows step=6"}});
}

TEST_CASE("a rank that falls out of step ends the job in time, and the job goes on from its checkpoint") {
  check_faults({{"repeat", 0, "at=gradients step=6"}, {"skip", 1, "at=values step=6"}});
}

TEST_CASE(
    "what is not finite on one rank is skipped by all of them, in any layout, and nothing else happens") {
  const Workshop shop;
  std::size_t next = 0;
  for (const int ranks : {1, 4}) {
    std::string first;
    for (const int zero : {0, 2, 3}) {
      // The same step was skipped, whatever was wrong with it. So the stages agree to the bit.
      const std::string tensors =
          tensors_after_skip(shop, kNotFinite[next++ % kNotFinite.size()], ranks, zero);
      if (first.empty()) first = tensors;
      CHECK(tensors == first);
    }
  }
}

TEST_CASE("four ranks stop with 77 when too many steps in a row are not finite, and say so once") {
  const Workshop shop;
  const Ending ending =
      end_of_faulty(shop, "run",
                    {.ranks = 4,
                     .fault = "nan-gradient rank=2 step=3",
                     .more = {"train.micro_batch_size=1", "parallel.ep=2", "parallel.zero=2",
                              "train.max_skips=0", "checkpoint.every=1", "checkpoint.keep=0"}});
  INFO(ending.result.err);
  CHECK(ending.result.exit_code == 77);
  const std::string message = "granule: error: 1 steps in a row were skipped";
  CHECK_THAT(ending.result.err, Contains(message));
  CHECK(ending.result.err.find("granule: error: ") == ending.result.err.rfind("granule: error: "));
  CHECK(list_checkpoints(shop.directory / "run").front().step == 2);
}

TEST_CASE("a second job in the directory of a job of two ranks is refused with 73, the first is unharmed") {
  const Workshop shop;
  const auto first = start_faulty(shop, "run", {.more = endless(100000)});
  REQUIRE(first->launcher().wait_for_err("memory:"));  // after the first step
  // A stopped job still holds its directory, and leaves the cores to the second job.
  const auto to_ranks = [&](int signal) {
    for (const int rank : {0, 1}) REQUIRE(::kill(first->process(rank), signal) == 0);
  };
  to_ranks(SIGSTOP);
  const auto second = start_faulty(shop, "run", {.more = with(endless(100000), {"--resume"})});
  const ProgramResult refused = second->launcher().wait();
  to_ranks(SIGCONT);
  INFO(refused.err);
  CHECK(refused.exit_code == 73);
  CHECK_THAT(refused.err, Contains("another job uses the directory: host"));
  first->launcher().send(SIGUSR2);
  const ProgramResult stopped = first->launcher().wait();
  INFO(stopped.err);
  REQUIRE(stopped.exit_code == 0);
  const std::int64_t last = list_checkpoints(shop.directory / "run").front().step;
  CHECK_THAT(stopped.err, Contains(fmt::format("stopped by a signal after step {}", last)));
  const auto reference = start_faulty(shop, "reference", {.more = endless(last)});
  REQUIRE(reference->launcher().wait().exit_code == 0);
  CHECK(shop.tensors("run", last) == shop.tensors("reference", last));
}

TEST_CASE("signals to mpirun: USR1 saves and goes on, USR2 saves and stops, TERM saves if there is time") {
  const Workshop shop;
  for (const int signal : {SIGUSR2, SIGTERM}) {
    const std::string out = fmt::format("run-{}", signal);
    const auto job = start_faulty(shop, out.c_str(), {.more = endless(100000)});
    REQUIRE(job->launcher().wait_for_err("memory:"));
    job->launcher().send(SIGUSR1);
    REQUIRE(job->launcher().wait_for_err("saved step-"));
    CHECK(job->launcher().running());
    job->launcher().send(signal);
    const ProgramResult result = job->launcher().wait();
    INFO(signal << '\n' << result.err);
    const FoundCheckpoint found = find_newest_valid(shop.directory / out);
    REQUIRE(found.checkpoint);
    CHECK(found.passed_over.empty());
    if (signal == SIGTERM) continue;  // the machine decides whether a rank ends within a second
    CHECK(result.exit_code == 0);
    CHECK(list_checkpoints(shop.directory / out).size() <= 2);  // one for each signal
    CHECK_THAT(result.err,
               Contains(fmt::format("stopped by a signal after step {}", found.checkpoint->step())));
  }
}
