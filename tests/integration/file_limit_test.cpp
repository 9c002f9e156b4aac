// `ulimit -f`: a file that may not grow any more is an error like a full disk, and never a signal.
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

/// Files may have this many blocks of 512 bytes. The program's messages fit.
ProgramResult run_limited(int blocks, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{"-c", fmt::format("ulimit -f {}; exec \"$0\" \"$@\"", blocks),
                                 program_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_program(words, {.program = "/bin/sh"});
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
      run_limited(1, {"data", "import", "--format", "llmc", test_data_dir() + "/imports/llmc_gpt2.bin",
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
