// `ulimit`: a file that may not grow any further is an error like a full disk, and never a signal. The limits
// for memory and for open files end a run with a message that names them.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/small_run.hpp"
#include "tests/support/workshop.hpp"

using namespace granule::test;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

/// `limits` are the words of ulimit, such as "-f 24".
ProgramResult run_under(const std::string& limits, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"-c", fmt::format("ulimit {}; exec \"$0\" \"$@\"", limits), program_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_program(words, {.program = "/bin/sh"});
}

/// Files may have this many blocks of 512 bytes; the program's messages fit.
ProgramResult run_limited(int blocks, const std::vector<std::string>& arguments) {
  return run_under(fmt::format("-f {}", blocks), arguments);
}

void check_refusal(const ProgramResult& result) {
  INFO(result.err);
  CHECK(result.signal == 0);
  CHECK(result.exit_code == 74);
  CHECK_THAT(result.err, Contains("granule: error: ") && Contains("File too large"));
}

}  // namespace

TEST_CASE("a run whose files may not grow ends with 74, in its records and in a save, and goes on without") {
  const Workshop shop;
  const std::vector<std::string> run{"train",    shop.path("run.toml"), "--out", shop.path("run"),
                                     "--resume", "eval.every=0"};
  const auto with = [&](const char* word) {
    std::vector<std::string> words = run;
    words.emplace_back(word);
    return words;
  };
  const ProgramResult in_save = run_limited(60, with("checkpoint.every=2"));
  check_refusal(in_save);
  CHECK_THAT(in_save.err, Contains("raise the limit for the size of a file (ulimit -f)"));
  const ProgramResult in_records = run_limited(24, with("checkpoint.every=0"));
  check_refusal(in_records);
  CHECK_THAT(in_records.err, Contains("metrics.jsonl") || Contains("router.bin"));
  CHECK(run_program(run).exit_code == 0);
  CHECK(shop.metrics("run").size() == 40);
}

TEST_CASE("imports end with 74 and leave nothing where files may not grow") {
  const TempDir dir;
  check_refusal(
      run_limited(1, {"data", "import", "--format", "llmc", fixtures_dir() + "/imports/llmc_gpt2.bin",
                      "--vocab-size", "50257", "--out", dir / "set"}));
  CHECK(fs::is_empty(dir.path()));
}

#ifdef GRANULE_WITH_SENTENCEPIECE
TEST_CASE("data sets, exports and tokenizers end with 74 where files may not grow") {
  const SmallRun& made = small_run();
  const TempDir dir;
  check_refusal(run_limited(
      8, {"data", "build", "--tokenizer", made.tokenizer, "--input", made.texts, "--out", dir / "set"}));
  check_refusal(run_limited(8, {"export", made.run, "--format", "hf", "--out", dir / "hf"}));
  check_refusal(run_limited(
      2, {"tokenizer", "train", "--input", made.texts, "--vocab-size", "300", "--out", dir / "tok.model"}));
  CHECK(fs::is_empty(dir.path()));
}
#endif

TEST_CASE("a run that may open too few files ends with advice that names ulimit -n") {
  const Workshop shop;
  // The process may inherit open files. With too few left over, the program's libraries cannot be loaded.
  int least = 4;
  const auto run_with = [&](int files) {
    return run_under(fmt::format("-n {}", files),
                     {"train", shop.path("run.toml"), "--out", shop.path("run")});
  };
  while (run_with(least).exit_code == 127 && least < 64) ++least;
  for (const int files : {least, least + 2}) {
    const ProgramResult result = run_with(files);
    INFO(files << ' ' << result.err);
    CHECK((result.exit_code == 2 || result.exit_code == 74));
    CHECK_THAT(result.err, Contains("Too many open files") && Contains("(ulimit -n)"));
    CHECK_FALSE(fs::exists(shop.directory / "run/config.toml"));
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they reserve terabytes
TEST_CASE("a run trains where address space is limited, and is refused where a step cannot fit") {
  const Workshop shop;
  const auto train = [&](const char* limits, const std::vector<std::string>& more) {
    std::vector<std::string> words{"train", shop.path("run.toml"), "--out", shop.path("run"), "eval.every=0"};
    words.insert(words.end(), more.begin(), more.end());
    return run_under(limits, words);
  };
  const std::vector<std::string> large{"train.batch_size=131072", "train.micro_batch_size=131072"};
  for (const char* const limits : {"-v 900000", "-d 700000"}) {
    const ProgramResult refused = train(limits, large);
    INFO(refused.err);
    CHECK(refused.exit_code == 71);
    CHECK_THAT(refused.err, Contains("a step takes") && Contains("ulimit -v") && Contains("it fits with"));
    CHECK_FALSE(fs::exists(shop.directory / "run/config.toml"));
    const ProgramResult trained = train(limits, {"train.steps=1"});
    INFO(trained.err);
    CHECK(trained.exit_code == 0);
    fs::remove_all(shop.directory / "run");
  }
  // What no longer fits, the libraries or the threads, depends on the machine.
  for (const char* const limit : {"-v 145000", "-v 160000"}) {
    const ProgramResult starved = train(limit, {"train.threads=2"});
    INFO(starved.err);
    CHECK(starved.exit_code != 1);
  }
}
#endif
