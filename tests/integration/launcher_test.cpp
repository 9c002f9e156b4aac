// The program under an MPI launcher. One rank works as without a launcher, and errors are printed once.
// Commands of one rank refuse several, and SIGTERM has an effect.
#include "distributed/mpi/launcher.hpp"

#include <csignal>
#include <fstream>
#include <thread>

#include <mpi.h>

#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

/// How often a text occurs.
int count_of(const std::string& text, const std::string& part) {
  int count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// The number of rows of a run that is training.
std::size_t rows_of(const Workshop& shop) {
  return fs::exists(shop.directory / "run/metrics.jsonl")
             ? static_cast<std::size_t>(count_of(text_of(shop.directory / "run/metrics.jsonl"), "\n"))
             : 0;
}

}  // namespace

TEST_CASE("TERM to mpirun saves where the ranks are given time for it, whether somebody reads or not") {
  if (OMPI_MAJOR_VERSION >= 5) return;  // there, ranks always have half a second
  for (const bool unread : {false, true}) {
    const Workshop shop;
    RunningRanks job(
        2,
        {"--mca", "odls_base_sigkill_timeout", "2", program_path(), "train", shop.path("run.toml"),
         "train.steps=1000000", "schedule.kind=constant", "train.micro_batch_size=1", "log.every=1",
         "eval.every=0", "checkpoint.every=0", "--out", shop.path("run")},
        {.unread = unread});
    // A line has some hundred bytes, and a pipe has 64 KiB.
    while (job.launcher().running() && rows_of(shop) < (unread ? 1500 : 10))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    job.launcher().send(SIGTERM);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while ((job.process(0) > 0 || job.process(1) > 0) && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK((job.process(0) < 0 && job.process(1) < 0));
    INFO((unread ? "unread\n" : "read\n") << job.launcher().err());
    // mpirun itself waits for its reader.
    if (!unread) CHECK(job.launcher().wait().exit_code <= 1);
    const FoundCheckpoint found = find_newest_valid(shop.directory / "run");
    REQUIRE(found.checkpoint);
    CHECK(found.checkpoint->step() == static_cast<std::int64_t>(rows_of(shop)));
    CHECK(count_of(text_of(shop.directory / "run/log.txt"),
                   fmt::format("stopped by a signal after step {} (SIGTERM)", found.checkpoint->step())) ==
          1);
  }
}

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

TEST_CASE("under mpirun one rank reports errors as ever, and two do so once") {
  const ProgramResult one = under_mpirun(1, {program_path(), "train", "absent.toml", "--out", "nowhere"});
  INFO(one.err);
  CHECK(one.exit_code == 2);
  CHECK(one.err.find("absent.toml") != std::string::npos);
  const ProgramResult two = under_mpirun(2, {program_path(), "train", "absent.toml", "--out", "nowhere"});
  INFO(two.err);
  CHECK(two.exit_code == 2);
  CHECK(count_of(two.err, "granule: error: ") == 1);
  CHECK(two.err.find("absent.toml") != std::string::npos);
}

TEST_CASE("commands of one rank refuse two before they do anything: one message, exit code 2 on both") {
  const TempDir directory;
  const std::string out = directory / "out", input = directory / "text.txt";
  std::ofstream(input) << "a text\n";
  const std::vector<std::vector<std::string>> commands{
      {"tokenizer", "train", "--input", input, "--vocab-size", "300", "--out", out},
      {"data", "inspect", input},
      {"eval", input, "--data", input},
      {"generate", input, "--prompt", "a"},
      {"export", input, "--format", "hf", "--out", out},
      {"inspect", input},
      {"bench", "gemm"}};
  for (const auto& command : commands) {
    CAPTURE(command[0]);
    std::vector<std::string> words{program_path()};
    words.insert(words.end(), command.begin(), command.end());
    const ProgramResult two = under_mpirun(2, words);
    INFO(two.err);
    CHECK(two.exit_code == 2);
    CHECK(two.out.empty());
    CHECK(count_of(two.err, "granule: error: ") == 1);
    CHECK(two.err.find("granule " + command[0] + " works on one rank (2 ranks): start it without mpirun") !=
          std::string::npos);
    CHECK_FALSE(std::filesystem::exists(out));
  }
  // One rank under a launcher works like none.
  CHECK(under_mpirun(1, {program_path(), "inspect", input}).err.find("there is no model here") !=
        std::string::npos);
}

TEST_CASE("under mpirun ranks that were given different options are refused, and both values are named") {
  const Workshop shop;
  const std::string config = shop.path("run.toml"), out = shop.path("out");
  const auto check = [&](const std::string& common, const std::string& of_0, const std::string& of_1,
                         const std::string& message) {
    const std::string script = fmt::format(
        "case $OMPI_COMM_WORLD_RANK in 0) o='{}';; *) o='{}';; esac; exec \"$0\" {} $o", of_0, of_1, common);
    const ProgramResult two = under_mpirun(2, {"/bin/sh", "-c", script, program_path()});
    INFO(two.err);
    CHECK(two.exit_code == 76);
    CHECK(count_of(two.err, "granule: error: ") == 1);
    CHECK(two.err.find("granule: error: the ranks differ in " + message +
                       " (command line): give all ranks the same arguments\n") != std::string::npos);
    CHECK_FALSE(fs::exists(out));
  };
  const std::string train = fmt::format("train {} train.micro_batch_size=1", config);
  check(train, "--out " + out, "--out " + out + "-b",
        fmt::format("--out: rank 0 has {} and rank 1 has {}-b", out, out));
  check(train + " --out " + out, "--fork a:2", "--fork a:3", "--fork: rank 0 has a:2 and rank 1 has a:3");
  check(train + " --out " + out, "", "--init-from b/c", "--init-from: rank 0 has none and rank 1 has b/c");
  check(train + " --out " + out, "--resume", "", "--resume: rank 0 has it and rank 1 has none");
  check("verify " + config, "--zero 0,1", "--zero 0", "--zero: rank 0 has 0,1 and rank 1 has 0");
  const ProgramResult same = under_mpirun(
      2, {"/bin/sh", "-c",
          fmt::format("o=/; [ $OMPI_COMM_WORLD_RANK = 0 ] || o=; exec \"$0\" {} train.steps=2 eval.every=0 "
                      "schedule.kind=constant --out {}$o",
                      train, out),
          program_path()});
  INFO(same.err);
  CHECK(same.exit_code == 0);
}

TEST_CASE("under mpirun mistakes of usage, help and version are said once") {
  const auto said = [](std::vector<std::string> words, int code) {
    words.insert(words.begin(), program_path());
    const ProgramResult two = under_mpirun(2, words);
    INFO(two.err);
    CHECK(two.exit_code == code);
    return two;
  };
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"train"}, {"trian"}, {"verify", "absent.toml", "--zero", "9"}, {"data"}}) {
    CAPTURE(words[0]);
    CHECK(count_of(said(words, 2).err, "granule: error: ") == 1);
  }
  CHECK(count_of(said({"--version"}, 0).out, "granule ") == 1);
  CHECK(count_of(said({"eval", "--help"}, 0).out, "Usage: ") == 1);
}
