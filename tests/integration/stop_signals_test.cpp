// granule train and the signals that stop it: in a step, in an evaluation, and in the set-up, as one rank and
// as several.
#include <csignal>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/faulty_run.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// A run that a test stops. Its steps do not depend on their number.
std::vector<std::string> endless(const Workshop& shop, const char* out, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"train", shop.path("run.toml"), "train.steps=100000",
                                 "--out", shop.path(out),        "schedule.kind=constant"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Makes a validation split that takes minutes to evaluate.
void make_validation_long(const Workshop& shop) {
  fs::remove(shop.directory / "data/val-00000.h5");
  write_shard(shop.directory / "data/val-00000.h5", patterned_documents(30'000, 90, Workshop::kVocabulary),
              Workshop::kVocabulary);
}

/// Whether a process blocks the signal. It then takes it from now on, or has it pending. While it starts a
/// thread or a program, the C library blocks all signals for a moment, and that does not count.
bool blocks(pid_t pid, int signal) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string name, value; status >> name; std::getline(status, value)) {
    if (name != "SigBlk:") continue;
    status >> value;
    const std::uint64_t blocked = std::stoull(value, nullptr, 16);
    const auto has = [&](int one) { return ((blocked >> (one - 1)) & 1) != 0; };
    return has(signal) && !has(SIGALRM);
  }
  return false;
}

std::int64_t newest_step(const fs::path& run) {
  const FoundCheckpoint found = find_newest_valid(run);
  REQUIRE(found.checkpoint);
  CHECK(found.passed_over.empty());
  return found.checkpoint->step();
}

}  // namespace

TEST_CASE("a signal saves, stops and is told by the end of the process, and the run goes on from there") {
  const Workshop shop;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) {
    const std::string out = fmt::format("run{}", signal);
    RunningProgram running(endless(shop, out.c_str(), {"--resume"}));
    REQUIRE(running.wait_for_err("step 30/"));
    running.send(signal);
    const ProgramResult stopped = running.wait();
    INFO(stopped.err);
    CHECK(stopped.signal == (signal == SIGUSR2 ? 0 : signal));
    CHECK(stopped.exit_code == (signal == SIGUSR2 ? 0 : 128 + signal));
    CHECK_THAT(stopped.err, Contains(": finishing step ") && Contains(", then saving; "));
    const auto last = shop.metrics(out.c_str()).back()["step"].get<std::int64_t>();
    CHECK_THAT(stopped.err, Contains(fmt::format("stopped by a signal after step {} (SIG", last)));
    CHECK(newest_step(shop.directory / out) == last);
  }
  RunningProgram running(endless(shop, "saved"));
  REQUIRE(running.wait_for_err("step 5/"));
  running.send(SIGUSR1);
  REQUIRE(running.wait_for_err("saved step-"));
  CHECK(running.running());
}

TEST_CASE("timeout sends its signal twice, and the run saves each time") {
  const Workshop shop;
  for (const std::string signal : {"TERM", "USR2", "INT", "HUP"}) {
    ProgramResult result;
    std::string out;
    for (const char* const seconds : {"0.7", "5", "30"}) {
      out = signal + seconds;
      std::vector<std::string> words{"-s", signal, seconds, program_path()};
      for (const std::string& word : endless(shop, out.c_str(), {"log.every=1000", "eval.every=0"}))
        words.push_back(word);
      result = run_program(words, {.program = "/usr/bin/timeout"});
      if (!result.err.empty()) break;  // on a busy machine the signal came before the program had begun
    }
    INFO(result.err);
    CHECK(result.exit_code == 124);
    CHECK_THAT(result.err, Contains("SIG" + signal + ": ") && Contains("stopped by a signal"));
    if (result.err.find("memory:") != std::string::npos) CHECK(newest_step(shop.directory / out) > 0);
  }
}

TEST_CASE("a due save comes before a due evaluation, which a signal ends; the next job makes up for it") {
  const Workshop shop;
  make_validation_long(shop);
  const std::vector<std::string> every{"eval.batches=0", "eval.every=3", "checkpoint.every=3"};
  RunningProgram running(endless(shop, "run", every));
  REQUIRE(running.wait_for_err("saved step-00000003"));
  running.send(SIGTERM);
  const ProgramResult stopped = running.wait();
  INFO(stopped.err);
  CHECK(stopped.signal == SIGTERM);
  CHECK_THAT(stopped.err, Contains("SIGTERM: ending the evaluation after step 3, then saving; ") &&
                              Contains("stopped by a signal after step 3") && !Contains("val ce"));
  CHECK(shop.metrics("run").size() == 3);
  CHECK(!shop.metrics("run")[2].contains("val_ce"));
  fs::copy(shop.directory / "run", shop.directory / "crashed", fs::copy_options::recursive);
  fs::resize_file(shop.directory / "crashed/metrics.jsonl", 0);  // as if the row had not been written

  const std::vector<std::string> few{"eval.batches=1", "eval.every=3", "checkpoint.every=3", "train.steps=6",
                                     "schedule.kind=constant"};
  const auto with = [&](const char* word) {
    std::vector<std::string> words = few;
    words.emplace_back(word);
    return words;
  };
  REQUIRE(shop.train("straight", few).exit_code == 0);
  const ProgramResult resumed = shop.train("run", with("--resume"));
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK_THAT(resumed.err, Contains("step 3/6  val ce "));
  CHECK(shop.metrics("run") == shop.metrics("straight"));
  REQUIRE(shop.train("crashed", with("--resume")).exit_code == 0);
  CHECK(shop.metrics("crashed").front() == shop.metrics("straight")[2]);
  // No evaluation is missing now.
  const std::string rows = text_of(shop.directory / "run/metrics.jsonl");
  CHECK_THAT(shop.train("run", with("--resume")).err, !Contains("val ce"));
  CHECK(text_of(shop.directory / "run/metrics.jsonl") == rows);
}

TEST_CASE("SIGUSR1 in an evaluation saves at once, and the evaluation goes on") {
  const Workshop shop;
  make_validation_long(shop);
  RunningProgram running(
      endless(shop, "run", {"eval.batches=0", "eval.every=3", "checkpoint.every=0", "log.every=1"}));
  REQUIRE(running.wait_for_err("step 2/"));
  while (running.running() && running.err().find("saved step-00000003") == std::string::npos) {
    running.send(SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK_THAT(running.err(), !Contains("val ce"));
  running.send(SIGUSR2);
  const ProgramResult stopped = running.wait();
  INFO(stopped.err);
  CHECK(stopped.exit_code == 0);
  CHECK(newest_step(shop.directory / "run") == 3);
  CHECK(!shop.metrics("run").back().contains("val_ce"));
}

TEST_CASE("a signal in the set-up ends the job without a step, and the directory can be given again") {
  const Workshop shop;
  fs::copy(shop.directory / "data", shop.directory / "kept", fs::copy_options::recursive);
  // The bytes after the shard are read for its digest, which would take minutes.
  fs::resize_file(shop.directory / "data/train-00000.h5", std::uintmax_t{1} << 38);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR2}) {
    RunningProgram running(endless(shop, "run"));
    while (running.running() && !blocks(running.pid(), signal)) {
    }
    running.send(signal);
    const ProgramResult stopped = running.wait();
    INFO(stopped.err);
    CHECK(stopped.exit_code == (signal == SIGUSR2 ? 0 : 128 + signal));
    CHECK_THAT(stopped.err, Contains(": ending before a step is taken; ") &&
                                Contains("stopped by a signal before a step was taken"));
    CHECK(!fs::exists(shop.directory / "run/checkpoints"));
  }
  fs::remove_all(shop.directory / "data");
  fs::rename(shop.directory / "kept", shop.directory / "data");
  CHECK(shop.train("run", {"train.steps=2"}).exit_code == 0);
}

TEST_CASE("two ranks leave an evaluation after the same micro-batch, though each is sent the signals twice") {
  const Workshop shop;
  make_validation_long(shop);
  const auto job = start_faulty(
      shop, "run",
      {.more = {"train.steps=100000", "schedule.kind=constant", "train.micro_batch_size=1", "parallel.ep=2",
                "parallel.zero=3", "eval.batches=0", "eval.every=2", "checkpoint.every=2"}});
  REQUIRE(job->launcher().wait_for_err("saved step-00000002"));
  for (const int rank : {1, 0}) REQUIRE(::kill(job->process(rank), SIGUSR2) == 0);
  job->launcher().send(SIGUSR2);
  const ProgramResult stopped = job->launcher().wait();
  INFO(stopped.err);
  CHECK(stopped.exit_code == 0);
  CHECK_THAT(stopped.err, Contains("stopped by a signal after step 2") && !Contains("val ce"));
  CHECK(newest_step(shop.directory / "run") == 2);
}

TEST_CASE("ranks end with the signal's plain code, in a step as in the set-up") {
  const Workshop shop;
  const std::vector<std::string> words{"train.steps=100000", "schedule.kind=constant",
                                       "train.micro_batch_size=1", "eval.every=0", "log.every=100000"};
  {
    const auto job = start_faulty(shop, "run", {.more = words});
    REQUIRE(job->launcher().wait_for_err("memory:"));
    REQUIRE(::kill(job->process(1), SIGTERM) == 0);
    const ProgramResult stopped = job->launcher().wait();
    INFO(stopped.err);
    CHECK(stopped.exit_code == 143);
    CHECK_THAT(stopped.err, Contains("stopped by a signal after step"));
    CHECK(newest_step(shop.directory / "run") > 0);
  }
  fs::resize_file(shop.directory / "data/train-00000.h5", std::uintmax_t{1} << 38);
  const auto job = start_faulty(shop, "early", {.more = words});
  const auto takes_signals = [&](int rank) {
    return job->process(rank) > 0 && blocks(job->process(rank), SIGINT);
  };
  while (job->launcher().running() && !(takes_signals(0) && takes_signals(1))) {
  }
  for (const int rank : {0, 1}) REQUIRE(::kill(job->process(rank), SIGINT) == 0);
  const ProgramResult stopped = job->launcher().wait();
  INFO(stopped.err);
  CHECK(stopped.exit_code == 130);
  CHECK_THAT(stopped.err, Contains("stopped by a signal before a step was taken"));
}

TEST_CASE("a run whose stderr nobody reads trains on, and saves when it is told to stop") {
  const Workshop shop;
  RunningProgram running(endless(shop, "run", {"log.every=1", "eval.every=0", "checkpoint.every=0"}),
                         {.unread = true});
  // A line has some hundred bytes, and a pipe has 64 KiB.
  const auto rows = [&] { return shop.metrics("run").size(); };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (running.running() && (!fs::exists(shop.directory / "run/metrics.jsonl") || rows() < 1000) &&
         std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  REQUIRE(rows() >= 1000);
  running.send(SIGTERM);
  CHECK(running.wait().signal == SIGTERM);
  CHECK(newest_step(shop.directory / "run") == static_cast<std::int64_t>(rows()));
  CHECK_THAT(text_of(shop.directory / "run/log.txt"), Contains("stopped by a signal after step"));
}
