#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested run
// Ranks that see different files under the same names, as on several hosts. Here a host is a working
// directory, and every path begins with /proc/self/cwd.
#include <algorithm>

#include <fmt/format.h>

#include "core/kernels/instruction_set.hpp"
#include "distributed/checkpoints/checkpoint.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/mpirun.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace fs = std::filesystem;

namespace {

const std::string kHere = "/proc/self/cwd/";

/// Hosts a and b, each with a config and data. Even ranks are on a, and odd ranks are on b.
class TwoHosts {
 public:
  TwoHosts() {
    for (const std::string host : {"a", "b"}) {
      fs::create_directory(of(host));
      fs::copy_file(small_run().config, of(host) / "run.toml");
      fs::copy(small_run().data, of(host) / "data", fs::copy_options::recursive);
    }
  }
  [[nodiscard]] fs::path of(const std::string& host) const { return fs::path(directory_.path()) / host; }
  void copy_to_b(const std::string& name) const {
    fs::remove_all(of("b") / name);
    fs::copy(of("a") / name, of("b") / name, fs::copy_options::recursive);
  }
  /// Runs granule with `words` on this number of ranks.
  [[nodiscard]] ProgramResult run(int ranks, std::vector<std::string> words) const {
    const std::string script = fmt::format(
        "case $OMPI_COMM_WORLD_RANK in 0|2) h=a;; *) h=b;; esac; cd {}/$h && "
        "GRANULE_HOST_NAME=host-$h exec \"$0\" \"$@\"",
        directory_.path().string());
    words.insert(words.begin(), {"/bin/sh", "-c", script, program_path()});
    return under_mpirun(ranks, words, {.timeout = std::chrono::seconds(60)});
  }
  [[nodiscard]] ProgramResult train(const std::vector<std::string>& more, int steps = 2,
                                    int ranks = 2) const {
    std::vector<std::string> words{"train",
                                   kHere + "run.toml",
                                   fmt::format("train.steps={}", steps),
                                   "train.micro_batch_size=1",
                                   "parallel.zero=1",
                                   "--out",
                                   kHere + "run"};
    words.insert(words.end(), more.begin(), more.end());
    return run(ranks, words);
  }

 private:
  TempDir directory_;
};

void check_refused(const ProgramResult& result, int code, const std::vector<std::string>& texts) {
  INFO(result.err);
  CHECK(result.exit_code == code);
  for (const std::string& text : texts) CHECK_THAT(result.err, Contains(text));
  CHECK(result.err.find("granule: error: ") == result.err.rfind("granule: error: "));
}

/// Trains on one rank on host a.
void train_on_a(const TwoHosts& hosts, const std::string& out, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"train",
                                 kHere + "run.toml",
                                 "train.steps=2",
                                 "eval.every=0",
                                 "train.micro_batch_size=1",
                                 "schedule.kind=constant",
                                 "--out",
                                 kHere + out};
  words.insert(words.end(), more.begin(), more.end());
  const ProgramResult result = run_program(words, {.working_directory = hosts.of("a")});
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
}

}  // namespace

TEST_CASE("a shard that is damaged on one host is refused there, and the host is named") {
  const TwoHosts hosts;
  damage(hosts.of("b") / "data" / "train-00000.h5");
  check_refused(hosts.train({}), 2, {"rank 1 on host host-b: ", "data/train-00000.h5", "manifest"});
  check_refused(hosts.run(2, {"verify", kHere + "run.toml", "train.micro_batch_size=1", "--zero", "0"}), 2,
                {"rank 1 on host host-b: ", "data/train-00000.h5"});
  hosts.copy_to_b("data");
  damage(hosts.of("a") / "data" / "train-00000.h5");
  check_refused(hosts.train({}), 2, {"rank 0 on host host-a: ", "data/train-00000.h5"});
}

TEST_CASE("hosts with other validation data, or another config, do not train or measure together") {
  const TwoHosts hosts;
  fs::remove(hosts.of("b") / "data" / "manifest.json");  // otherwise the digests would show it
  fs::remove(hosts.of("a") / "data" / "manifest.json");
  fs::copy_file(hosts.of("b") / "data" / "train-00000.h5", hosts.of("b") / "data" / "val-00000.h5",
                fs::copy_options::overwrite_existing);
  check_refused(
      hosts.train({"eval.every=1"}), 76,
      {"the ranks read different validation data: rank 0 on host host-a and rank 1 on host host-b differ"});
  CHECK(hosts.train({"eval.every=0"}).exit_code == 0);
  replace_in(hosts.of("b") / "run.toml", "lr = 1e-2", "lr = 2e-2");
  check_refused(
      hosts.run(2, {"bench", "step", kHere + "run.toml", "train.micro_batch_size=1", "model.vocab_size=300"}),
      76, {"the ranks read different configs", "rank 1 on host host-b"});
}

TEST_CASE("hosts do not start from models of other content under the same name") {
  const TwoHosts hosts;
  train_on_a(hosts, "start");
  const fs::path a = hosts.of("a"), b = hosts.of("b");
  REQUIRE(run_program({"export", a / "start", "--format", "hf", "--out", a / "hf"}).exit_code == 0);
  hosts.copy_to_b("start");
  hosts.copy_to_b("hf");
  for (const std::string model : {"start", "hf"}) {
    const ProgramResult same = hosts.train({"--init-from", kHere + model});
    INFO(same.err);
    CHECK(same.exit_code == 0);
    fs::remove_all(a / "run");
  }
  damage(b / "hf" / "model.safetensors");
  check_refused(hosts.train({"--init-from", kHere + "hf"}), 76,
                {"different models to start from (model.safetensors)", "rank 1 on host host-b"});
  fs::remove_all(b / "start");
  train_on_a(hosts, "other", {"train.seed=7"});
  fs::rename(a / "other", b / "start");
  for (const std::string how : {"--init-from", "--fork"})
    check_refused(hosts.train({how, kHere + "start"}), 76,
                  {"different models to start from", "rank 1 on host host-b"});
}

TEST_CASE("a run directory that hosts do not share is said so, and no checkpoint of it is lost") {
  const TwoHosts hosts;
  const fs::path a = hosts.of("a"), b = hosts.of("b");
  const ProgramResult fresh = hosts.train({});
  INFO(fresh.err);
  CHECK(fresh.exit_code == 0);
  CHECK_THAT(fresh.err,
             Contains("warning: the run directory is not shared: rank 1 on host host-b does not see"));
  check_refused(
      hosts.train({"--resume"}, 4), 2,
      {"the run directory is not shared: rank 1 on host host-b does not see what rank 0 on host host-a",
       "of rank 0 on host host-a: step-00000002; of rank 1 on host host-b: none"});
  CHECK(list_checkpoints(a / "run").size() == 1);
  // Rank 0 may be on the other host when the job is started again.
  fs::rename(a / "run", b / "run");
  check_refused(hosts.train({"--resume"}, 4), 2,
                {"of rank 0 on host host-a: none; of rank 1 on host host-b: step-00000002"});
  CHECK(list_checkpoints(b / "run").size() == 1);
}

TEST_CASE("hosts do not go on from checkpoints of other content under the same name") {
  const TwoHosts hosts;
  const fs::path a = hosts.of("a"), b = hosts.of("b");
  const std::vector<std::string> longer{"--resume", "schedule.kind=constant", "eval.every=0"};
  train_on_a(hosts, "run");
  hosts.copy_to_b("run");
  train_on_a(hosts, "other", {"train.seed=7"});
  fs::remove_all(b / "run" / "checkpoints");
  fs::rename(a / "other" / "checkpoints", b / "run" / "checkpoints");
  check_refused(hosts.train(longer, 4), 76,
                {"rank 0 on host host-a and rank 1 on host host-b have different checkpoints of this name",
                 "step-00000002"});
  hosts.copy_to_b("run");
  damage(b / "run" / "checkpoints" / "step-00000002" / "model-00001-of-00001.safetensors");
  check_refused(hosts.train(longer, 4), 2,
                {"the checkpoint is whole for rank 0 on host host-a and not for rank 1 on host host-b"});
  CHECK(list_checkpoints(a / "run").size() == 1);
  // Equal copies are as good as one shared copy.
  hosts.copy_to_b("run");
  const ProgramResult result = hosts.train(longer, 4);
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err,
             Contains("2 ranks on 2 hosts, of 1 thread") && Contains("going on from step-00000002"));
}

TEST_CASE("ranks share the cores of their host with the ranks on it, and with no other host's") {
  // The threads of every rank where each host has this many ranks.
  const auto threads_of = [](int ranks, int ranks_on_host) {
    const std::string script = fmt::format(
        "GRANULE_HOST_NAME=host-$((OMPI_COMM_WORLD_RANK / {})) exec \"$0\" \"$@\"", ranks_on_host);
    const TempDir directory;
    const ProgramResult result = under_mpirun(
        ranks, {"/bin/sh", "-c", script, program_path(), "train", small_run().config, "train.threads=0",
                "train.steps=1", "train.micro_batch_size=1", "eval.every=0", "--out", directory / "run"});
    INFO(result.err);
    const auto end = result.err.find(" thread"), begin = result.err.rfind(' ', end - 1);
    REQUIRE(end != std::string::npos);
    CHECK((result.err.find(" on 2 hosts") != std::string::npos) == (ranks > ranks_on_host));
    return std::stoi(result.err.substr(begin, end - begin));
  };
  const int alone = threads_of(1, 1);
  if (alone == 1) WARN("this machine has one core, so there is nothing to share");
  CHECK(threads_of(2, 1) == alone);
  CHECK(threads_of(2, 2) == std::max(1, alone / 2));
}

TEST_CASE("ranks that exchange tokens from host to host without need are warned of") {
  const TwoHosts hosts;
  const std::string warning = "0 of 2 rows of parallel.ep = 2 ranks are within one host, and 2 could be";
  const ProgramResult result = hosts.train({"parallel.ep=2", "eval.every=0"}, 1, 4);
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, Contains(warning) && Contains("--map-by slot"));
}

TEST_CASE(
    "ranks that compute with different instruction sets are refused, and one of them may be chosen for all") {
  const std::string best = instruction_sets().front(), least = instruction_sets().back();
  if (best == least) return;  // this machine has no choice
  const auto step_with = [&](const std::string& first, const std::string& second) {
    const std::string script = fmt::format(
        "case $OMPI_COMM_WORLD_RANK in 0) t={};; *) t={};; esac; GRANULE_CPU_TARGET=$t exec \"$0\" \"$@\"",
        first, second);
    return under_mpirun(2, {"/bin/sh", "-c", script, program_path(), "bench", "step", small_run().config,
                            "model.vocab_size=300", "train.micro_batch_size=1"});
  };
  check_refused(
      step_with(best, least), 76,
      {"the ranks compute with different instruction sets", fmt::format("rank 0 {}, rank 1 {}", best, least),
       fmt::format("mpirun -x GRANULE_CPU_TARGET={}", least)});
  const ProgramResult together = step_with(least, least);
  INFO(together.err);
  CHECK(together.exit_code == 0);
}
#endif
