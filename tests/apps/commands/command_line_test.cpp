// The program before any command starts: version, help, usage errors, and streams that cannot be written.
#include <array>

#include <fmt/format.h>

#include "core/kernels/bf16_support.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/instruction_sets.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"

using Catch::Contains;
using Catch::EndsWith;
using Catch::StartsWith;
using granule::test::program_path;
using granule::test::run_program;
using granule::test::source_dir;
using namespace std::chrono_literals;

namespace {

granule::test::ProgramResult in_shell(const std::string& script) {
  return run_program({"-c", script, program_path()}, {.program = "/bin/sh", .timeout = 20s});
}

}  // namespace

TEST_CASE("command_line: the version option names version, commit, instruction set, CUDA, NCCL and MPI") {
  const auto result = run_program({"--version"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK_THAT(result.out, StartsWith("granule 0.1.0 (") && Contains("\ncuda  "));
  CHECK_THAT(result.out, Contains("\nnccl  ") && Contains("\nmpi   Open MPI v"));
  std::string first;
  granule::test::for_each_instruction_set([&](const std::string& name) {
    if (first.empty()) first = name;
  });
  constexpr std::array kUnits{"", "+bf16", "+amx"};
  const char* const units = kUnits[static_cast<std::size_t>(granule::bf16_units_by_speed().front())];
  CHECK_THAT(result.out, Contains(fmt::format("\ncpu   {}{}\n", first, units)));
}

TEST_CASE("command_line: the header that names the commit names the one that is checked out") {
  // It runs the version script again, because the program may be a commit old until it is built.
  const granule::test::TempDir temp;
  const auto result =
      in_shell(fmt::format("cmake -DGIT=$(command -v git) -DSOURCE={0} -DVERSION=1.2.3 -DHEADER={1} -P "
                           "{0}/scripts/cmake/GranuleVersion.cmake >&2 && cat {1} && git -C {0} rev-parse "
                           "--short=12 HEAD 2>/dev/null",
                           source_dir(), (temp / "build_version.hpp").string()));
  INFO(result.err);
  CHECK_THAT(result.out, Contains("kVersion = \"1.2.3\";"));
  const std::string last = "}  // namespace granule\n";
  const auto end = result.out.find(last);
  REQUIRE(end != std::string::npos);
  const std::string commit = result.out.substr(end + last.size(), 12);
  CHECK_THAT(result.out, Contains(fmt::format("kCommit = \"{}", commit.empty() ? "unknown" : commit)));
}

TEST_CASE("command_line: a mistake on the command line is one line that names the command to ask for help") {
  struct Row {
    std::vector<std::string> arguments;
    std::vector<std::string> message;
  };
  const std::vector<Row> rows{
      {{"trian"}, {"there is no command 'trian'", "did you mean 'train'?", "see granule --help"}},
      {{"--versoin"}, {"there is no option --versoin: did you mean --version?", "see granule --help"}},
      {{"--verbose"}, {"there is no option --verbose (", "see granule --help"}},
      {{"frobnicate"}, {"there is no command 'frobnicate' (", "see granule --help"}},
      {{"train", "a.toml", "--learning-rate", "1"},
       {"there is no option --learning-rate: a key of the config is given as optim.lr=VALUE"}},
      {{"train", "a.toml", "--dropout", "0.1"},
       {"there is no option --dropout: models are trained without dropout"}},
      {{"train"}, {"CONFIG is missing", "see granule train --help"}},
      {{"train", "a.toml", "--outt", "x"},
       {"there is no option --outt: did you mean --out?", "see granule train --help"}},
      {{"train", "a.toml", "--out", "b", "--micro-batch-size", "5"},
       {"there is no option --micro-batch-size: a key of the config is given as "
        "train.micro_batch_size=VALUE"}},
      {{"train", "a.toml", "--out"}, {"--out needs a value", "see granule train --help"}},
      {{"train", "a.toml", "--out", "x", "--out", "y"}, {"--out is given more than once"}},
      {{"train", "a.toml", "--dry-run=maybe"}, {"--dry-run maybe takes no value"}},
      {{"inspect", "run", "more"}, {"'more' is one word too many", "see granule inspect --help"}},
      {{"bench"},
       {"granule bench needs a command: ceiling, gemm, ops, step, generation", "see granule bench --help"}},
      {{"generate", "run", "--prompt", "a", "--seed", "18446744073709551616"},
       {"--seed 18446744073709551616 is too large", "see granule generate --help"}},
      {{"data", "build", "--shard-tokens", "99999999999999999999"},
       {"--shard-tokens 99999999999999999999 is too large"}},
      {{"bench", "step", "a.toml", "--steps", "0"}, {"--steps 0 is not between 1 and 1000000"}},
      {{"tokenizer", "train", "--input"}, {"--input needs a value", "see granule tokenizer train --help"}},
      {{"tokenizer", "train", "--input", "a"}, {"--vocab-size is missing"}},
      {{"data"}, {"granule data needs a command: build, inspect", "see granule data --help"}},
      {{"data", "biuld"}, {"biuld", "see granule data --help"}},
      {{"data", "build"}, {"--tokenizer is missing", "see granule data build --help"}},
      {{"data", "build", "--val-fraction", "x"},
       {"--val-fraction x is no number", "see granule data build --help"}},
      {{"tokenizer", "train", "--vocab-size", "1e3"},
       {"--vocab-size 1e3 is no number of digits alone: write 1000", "see granule tokenizer train --help"}},
      {{"tokenizer", "train", "--vocab-size", "1.5"}, {"--vocab-size 1.5 is no whole number"}},
      {{"train", "train.steps=3", "my.toml"},
       {"'my.toml' comes after a key=value word",
        "give CONFIG, or RUN with --resume, before every key=value"}},
      {{"train", "train.steps=3", "my", "--resume"}, {"'my' comes after a key=value word"}},
      {{"train", "a.toml", "--out", ""}, {"--out is empty"}},
      {{"data", "build", "--out="}, {"--out is empty"}},
  };
  for (const Row& row : rows) {
    const auto result = run_program(row.arguments);
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains("(command line)"));
    for (const std::string& fragment : row.message)
      CHECK_THAT(result.err, Contains(fragment, Catch::CaseSensitive::No));
  }
}

TEST_CASE("command_line: an argument may have the name of a command") {
  const granule::test::TempDir temp;
  const auto says = [&](const std::vector<std::string>& words, const std::string& message) {
    const auto result = run_program(words, {.working_directory = temp / "."});
    CAPTURE(words, result.err);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains(message));
  };
  says({"train", "--resume", "eval"}, "there is no run to go on with (eval)");
  says({"train", "--resume", "train"}, "there is no run to go on with (train)");
  says({"train", "plan", "--out", "x"}, "(plan)");
  says({"train", "data", "--out", "x"}, "(data)");
  says({"eval", "runs/own", "data"}, "give --data or --text");
  says({"status", "status"}, "(status)");
  says({"data", "inspect", "build"}, "(build)");
  says({"inspect", "data", "build"}, "'build' is one word too many");
}

TEST_CASE("command_line: help before a command is its --help") {
  const auto same = [](const std::vector<std::string>& words, const std::vector<std::string>& option) {
    const auto result = run_program(words), wanted = run_program(option);
    CAPTURE(words, result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.out == wanted.out);
  };
  same({"help"}, {"--help"});
  same({"help", "train"}, {"train", "--help"});
  same({"help", "data", "build"}, {"data", "build", "--help"});
  CHECK(run_program({"help", "nothing"}).exit_code == 2);
}

TEST_CASE("command_line: without a command the program shows what there is and fails") {
  const auto result = run_program({});
  CHECK(result.exit_code == 2);
  CHECK(result.out.empty());
  CHECK_THAT(result.err, Contains("Subcommands:") && EndsWith("see granule --help\n"));
}

TEST_CASE("command_line: a reader that closes stdout early is no failure") {
  const auto result = in_shell("(sleep 0.3; \"$0\" --version; echo code $? >&2) | true");
  CHECK(result.err == "code 0\n");
}

TEST_CASE("command_line: output that cannot be written is an error, a closed stdout included") {
  for (const char* const script : {"\"$0\" --version > /dev/full", "\"$0\" --version >&-"}) {
    const auto result = in_shell(script);
    CHECK(result.exit_code == 74);
    CHECK_THAT(result.err, StartsWith("granule: error: cannot write the output: ") && Contains("(stdout)"));
  }
}

TEST_CASE("command_line: a closed stderr takes nothing else down") {
  CHECK(in_shell("\"$0\" --version 2>&-").exit_code == 0);
  CHECK(in_shell("\"$0\" trian 2>&-").exit_code == 2);
}
