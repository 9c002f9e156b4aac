// The watchdog: when it decides that a rank hangs, what every living rank reports, and how the job ends.
#include "distributed/watchdog.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include <sched.h>
#include <signal.h>

#include "distributed/communicators/self_communicator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/ranks.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

void pause(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

/// The lines of all ranks.
class Lines {
 public:
  void add(std::string_view line) {
    const std::scoped_lock lock(mutex_);
    all_.emplace_back(line);
  }
  /// The lines that begin with the text.
  [[nodiscard]] std::vector<std::string> of(std::string_view begin) {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> found;
    for (const std::string& line : all_) {
      if (line.starts_with(begin)) found.push_back(line);
    }
    return found;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> all_;
};

void sum(Communicator& ranks, Context& context, Phase phase) {
  ranks.all_reduce(Tensor::zeros(context, {4}, DType::f32), phase).wait();
}

/// Keeps this thread, and those that it starts, on one CPU.
class RestoredAffinity {
 public:
  RestoredAffinity() {
    REQUIRE(sched_getaffinity(0, sizeof before_, &before_) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    int cpu = 0;
    while (CPU_ISSET(cpu, &before_) == 0) ++cpu;
    CPU_SET(cpu, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  }
  ~RestoredAffinity() { sched_setaffinity(0, sizeof before_, &before_); }
  RestoredAffinity(const RestoredAffinity&) = delete;
  RestoredAffinity& operator=(const RestoredAffinity&) = delete;

 private:
  cpu_set_t before_{};
};

void work_until(const std::atomic<bool>& over) {
  while (!over) {
  }
}

int code_of(int n, const std::function<void(Communicator&, Context&)>& body) {
  try {
    run_ranks(n, body);
  } catch (const Error& error) {
    return static_cast<int>(error.code());
  }
  return 0;
}

}  // namespace

TEST_CASE(
    "watchdog: a rank may stand still for 20 median steps, a minute at the least, and for long in some "
    "phases") {
  const WatchdogOptions options;
  const std::vector<double> quick{0.1, 90.0, 0.1}, slow{10.0, 400.0, 9.0, 12.0, 1.0};
  CHECK(still_limit(options, "forward", {}) == 600.0);  // in the first step
  CHECK(still_limit(options, "forward", quick) == 60.0);
  CHECK(still_limit(options, "forward", slow) == 200.0);
  for (const char* phase : {"evaluation", "checkpoint"}) CHECK(still_limit(options, phase, quick) == 600.0);
  CHECK(still_limit({.seconds = 2.0}, "checkpoint", slow) == 2.0);
  CHECK(still_limit({.seconds = 2.0}, "start", {}) == 3600.0);
}

TEST_CASE("watchdog: a thread rank that hangs: every rank says where it is, and the job ends with 75") {
  Lines lines;
  std::atomic<bool> over = false;
  const int code = code_of(3, [&](Communicator& ranks, Context& context) {
    const Watchdog watchdog(ranks, {.seconds = 0.4, .say = [&](std::string_view line) { lines.add(line); }});
    ranks.ledger().begin_step(7);
    ranks.ledger().begin_phase("forward");
    sum(ranks, context, "first");
    if (ranks.rank() == 1) {
      while (!over) pause(0.01);
    }
    try {
      sum(ranks, context, "second");
    } catch (const Error&) {
      over = true;
      throw;
    }
  });
  CHECK(code == 75);
  for (const std::string rank : {"rank 0 has", "rank 1 has", "rank 2 has"}) {
    const auto said = lines.of(rank);
    REQUIRE(said.size() == 1);
    CHECK_THAT(said[0], Contains("step 7, phase 'forward', last in all_reduce") && Contains("group 'world'"));
    CHECK_THAT(said[0], Contains(rank == "rank 1 has" ? "'first'" : "'second'"));
  }
}

TEST_CASE("watchdog: the watchdog of a job of one rank, which waits for nobody, ends the process itself") {
  SelfCommunicator alone;
  std::atomic<int> code = 0;
  Watchdog watchdog(alone, {.end = [&](const Error& hang) { code = static_cast<int>(hang.code()); }});
  watchdog.set_seconds(0.2);
  alone.ledger().begin_phase("forward");
  for (int i = 0; i < 1000 && code == 0; ++i) pause(0.01);
  CHECK(code == 75);
}

TEST_CASE("watchdog: a job of one rank that gets no CPU is slow, and no hang is found") {
  const RestoredAffinity one_cpu;
  std::atomic<bool> over = false;
  std::vector<std::thread> others;
  for (int i = 0; i < 15; ++i) others.emplace_back([&over] { work_until(over); });
  SelfCommunicator alone;
  std::atomic<int> code = 0;
  {
    Watchdog watchdog(alone, {.grace_seconds = 0.1,
                              .end = [&](const Error& hang) { code = static_cast<int>(hang.code()); }});
    watchdog.set_seconds(0.5);
    alone.ledger().begin_phase("forward");
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(1500)) {
    }
    CHECK(code == 0);
  }
  over = true;
  for (std::thread& other : others) other.join();
}

TEST_CASE("watchdog: thread ranks that only begin phases, steps or collectives move") {
  Lines lines;
  const int code = code_of(2, [&](Communicator& ranks, Context& context) {
    const Watchdog watchdog(ranks, {.seconds = 0.5, .say = [&](std::string_view line) { lines.add(line); }});
    ranks.ledger().begin_phase("forward");
    for (int i = 0; i < 120; ++i) {
      pause(0.01);
      if (ranks.rank() == 0) ranks.ledger().begin_phase("evaluation");
      if (ranks.rank() == 1) ranks.ledger().begin_step(i);
    }
    ranks.ledger().begin_step(0);
    for (int i = 0; i < 60; ++i) {
      pause(0.01);
      sum(ranks, context, "again");
    }
  });
  CHECK(code == 0);
  CHECK(lines.of("").empty());
}

TEST_CASE("watchdog: a thread rank that moves again before the job was ended goes on") {
  Lines lines;
  const int code = code_of(1, [&](Communicator& ranks, Context&) {
    const Watchdog watchdog(ranks, {.seconds = 0.1, .grace_seconds = 60.0, .say = [&](std::string_view line) {
                                      lines.add(line);
                                    }});
    ranks.ledger().begin_phase("forward");
    while (lines.of("rank 0 has not moved").empty()) pause(0.01);
    ranks.ledger().begin_phase("late");
    while (lines.of("rank 0 moves again").empty()) pause(0.01);
  });
  CHECK(code == 0);
}

TEST_CASE(
    "watchdog: a hang under mpirun ends with 75, whatever the rank does, and the others say where they are") {
  for (const std::string how : {"stop", "sleep", "loop", "finalise"}) {
    const auto start = std::chrono::steady_clock::now();
    const ProgramResult result =
        under_mpirun(3, {GRANULE_RANKS, "hang-" + how}, {.timeout = std::chrono::seconds(60)});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    INFO(how << " took " << took.count() << " s\n" << result.err);
    CHECK_FALSE(result.timed_out);
    // If a rank is in MPI_Finalize, mpirun 4.1.4 sometimes crashes, or locks itself up and is killed.
    CHECK((result.exit_code == 75 || (how == "finalise" && result.signal != 0)));
    for (const std::string rank : {"rank 0", "rank 2"}) {
      CHECK_THAT(result.err, Contains(rank + " has not moved for") && Contains("in all_reduce 'second'"));
    }
    const bool lives = how != "stop";  // a rank that finalises waits in MPI for the others
    CHECK((result.err.find("rank 1 has not moved for") != std::string::npos) == lives);
  }
}

TEST_CASE("watchdog: under mpirun every message of a collective is a move: a slow network is no hang") {
  const ProgramResult result = under_mpirun(2, {GRANULE_RANKS, "moves", "10"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE(
    "watchdog: a rank under mpirun that waits for others in MPI_Init or at its end says so, and ends with "
    "75") {
  // Rank 1 never enters MPI, or it stops when the others have reached the end of MPI.
  for (const bool at_end : {false, true}) {
    const std::string script =
        fmt::format("[ $OMPI_COMM_WORLD_RANK = 1 ] && {}; GRANULE_MPI_SECONDS={} exec \"$0\" barrier",
                    at_end ? "exec \"$0\" stop-at-end" : "sleep 60", at_end ? 5 : 1);
    const ProgramResult result =
        under_mpirun(2, {"/bin/sh", "-c", script, GRANULE_RANKS}, {.timeout = std::chrono::seconds(60)});
    INFO(result.err);
    CHECK_FALSE(result.timed_out);
    CHECK(result.exit_code == 75);
    CHECK_THAT(result.err, Contains("granule: error: rank 0: ") && Contains("did not return within"));
    CHECK_THAT(result.err, Contains(at_end ? "the last collective" : "--mca btl_tcp_if_include"));
  }
}

TEST_CASE("watchdog: a job under mpirun that is suspended as a whole goes on afterwards") {
  RunningRanks job(2, {GRANULE_RANKS, "work"});
  REQUIRE(job.launcher().wait_for_err("works"));
  const std::vector<pid_t> processes{job.process(0), job.process(1)};
  for (const pid_t pid : processes) REQUIRE((pid > 0 && ::kill(pid, SIGSTOP) == 0));
  pause(3.0);  // the ranks' limit is 2 s
  for (const pid_t pid : processes) REQUIRE(::kill(pid, SIGCONT) == 0);
  const ProgramResult result = job.launcher().wait();
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, !Contains("has not moved"));
}

TEST_CASE("watchdog: work that takes longer than the limit is no hang while it notes that it moves") {
  Lines lines;
  const int code = code_of(1, [&](Communicator& ranks, Context&) {
    const Watchdog watchdog(ranks, {.seconds = 0.4, .say = [&](std::string_view line) { lines.add(line); }});
    ranks.ledger().begin_step(3);
    ranks.ledger().begin_phase("data");
    for (int piece = 0; piece < 15; ++piece) {
      pause(0.06);
      note_movement();
    }
  });
  CHECK(code == 0);
  CHECK(lines.of("rank 0 has not moved").empty());
}
