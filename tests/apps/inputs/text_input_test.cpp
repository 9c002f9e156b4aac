#ifdef GRANULE_WITH_SENTENCEPIECE
// What data build and tokenizer train accept as text, and what they say about the rest, as a user sees it.
#include <nlohmann/json.hpp>

#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using test::TempDir;

void put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  write_file(path, text);
}

test::ProgramResult build(const TempDir& dir, const std::string& input, std::vector<std::string> more = {},
                          const fs::path& tokenizer = test::small_tokenizer()) {
  more.insert(more.begin(), {"data", "build", "--tokenizer", tokenizer, "--input", input, "--out", "set"});
  test::ProgramOptions options;
  options.working_directory = dir.path();
  const auto result = test::run_program(more, options);
  fs::remove_all(dir / "set");
  return result;
}

nlohmann::json json_of(const test::ProgramResult& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return nlohmann::json::parse(result.out);
}

TEST_CASE(
    "text_input: data build takes JSON Lines of any name and key, and skips bad lines when it is told to") {
  const TempDir dir;
  put(dir / "c4.json", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  CHECK(json_of(build(dir, "c4.json"))["train"]["documents"] == 2);
  put(dir / "lines", "{\"content\": \"a\"}\n{\"content\": \"b\", \"x\": NaN}\n{\"content\": \"c\"}\n");
  const auto refused = build(dir, "lines", {"--text-key", "content"});
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("NaN, which is no number of JSON, at byte 23 of the line (lines:2)") &&
                              Contains("--skip-bad-lines N"));
  const auto skipped = build(dir, "lines", {"--text-key", "content", "--skip-bad-lines", "1"});
  const auto report = json_of(skipped);
  CHECK(report["train"]["documents"] == 2);
  CHECK(report["input"]["skipped_lines"]["count"] == 1);
  CHECK_THAT(skipped.err, Contains("skipped 1 bad line") && Contains("lines:2: not JSON: NaN"));
  CHECK_THAT(build(dir, "lines").err, Contains("the object has no \"text\"") && Contains("--text-key"));
}

TEST_CASE("text_input: data build says what it leaves out of a directory") {
  const TempDir dir;
  put(dir / "in/a.txt", "text");
  put(dir / "in/.git/b.txt", "text");
  put(dir / "in/c.parquet", "PAR1\x15");
  const auto built = build(dir, "in");
  const auto left_out = json_of(built)["input"]["left_out"];
  CHECK(left_out["count"] == 2);
  CHECK(left_out["first"][0] == nlohmann::json{{"path", "in/.git"}, {"why", "a hidden folder"}});
  CHECK_THAT(built.err, Contains("left out of the input: 2 entries: in/.git (a hidden folder), "
                                 "in/c.parquet (a Parquet file, not text)"));
}

TEST_CASE("text_input: data build takes a directory that holds a tokenizer") {
  const TempDir dir;
  put(dir / "a.txt", "the whale");
  put(dir / "hf/config.json", "{}");
  fs::copy_file(test::small_tokenizer(), dir / "hf/tokenizer.model");
  CHECK(json_of(build(dir, "a.txt", {}, "hf"))["vocab_size"] == 350);
}

TEST_CASE("text_input: stdin is read like a file of its content, compressed or not") {
  const TempDir dir;
  const auto build_from = [&](const std::vector<std::string>& inputs, const std::string& out,
                              std::string input) {
    std::vector<std::string> words{"data",  "build",   "--tokenizer", test::small_tokenizer(),
                                   "--out", dir / out, "--input"};
    words.insert(words.end(), inputs.begin(), inputs.end());
    return test::run_program(words, {.input = std::move(input)});
  };
  const std::string lines = "{\"text\": \"the old sea\"}\n{\"text\": \"a white whale\"}\n";
  write_file(dir / "lines.jsonl", lines);
  REQUIRE(build_from({dir / "lines.jsonl"}, "file", "").exit_code == 0);
  const test::ProgramResult from_stdin = build_from({"-"}, "stdin", lines);
  INFO(from_stdin.err);
  REQUIRE(from_stdin.exit_code == 0);
  CHECK(read_file(dir / "file/train-00000.h5") == read_file(dir / "stdin/train-00000.h5"));
  CHECK(
      build_from({"-"}, "packed", read_file(test::fixtures_dir() + "/compressed/whole.jsonl.gz")).exit_code ==
      0);
  CHECK_THAT(build_from({"-"}, "bad", lines + "{}\n").err, Contains("(stdin:3)"));
  CHECK_THAT(build_from({"-", "-"}, "twice", lines).err, Contains("stdin is named twice"));
  CHECK_THAT(build_from({"-"}, "binary", std::string(64, '\0')).err, Contains("(stdin)"));
}

TEST_CASE(
    "text_input: tokenizer train trains on what stands beside the sign that SentencePiece keeps for itself") {
  const TempDir dir;
  std::string text;
  for (int i = 0; i < 50; ++i) text += "zebra \u2585 zebra\n";
  put(dir / "signs.txt", text + test::prose(1, 100));
  put(dir / "only.txt", "\u2585\n\u2585\u2585\n");
  const auto train = [&](const std::string& input) {
    test::ProgramOptions options;
    options.working_directory = dir.path();
    return test::run_program(
        {"tokenizer", "train", "--input", input, "--vocab-size", "330", "--out", "t.model"}, options);
  };
  const auto trained = train("signs.txt");
  INFO(trained.err);
  REQUIRE(trained.exit_code == 0);
  CHECK_THAT(trained.err, Contains("U+2585) occurs 50 times in the text"));
  CHECK_THAT(read_file(dir / "t.model"), Contains("\u2581zebra"));
  fs::remove(dir / "t.model");
  const auto refused = train("only.txt");
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("there is no text to train on but") && Contains("U+2585"));
}

}  // namespace
}  // namespace granule
#endif
