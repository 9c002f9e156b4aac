#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tokenizer of the tested data set
// Paths that are not UTF-8, and paths that are too long, given to every command that writes them.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;
using Catch::Contains;
using Catch::StartsWith;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kLatin1 =
    "donn\xe9"
    "es";
const std::string kShown =
    "donn\xEF\xBF\xBD"
    "es";

/// The command's stdout must be JSON, in which U+FFFD replaces the byte of the path that is not UTF-8.
void must_show_path(const std::vector<std::string>& arguments, const char* key) {
  const ProgramResult result = run_program(arguments);
  INFO(arguments[0] << ' ' << arguments[1] << ": " << result.err);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(json::parse(result.out)[key].get<std::string>(), Contains(kShown));
}

}  // namespace

TEST_CASE("odd_paths: a path that is not UTF-8 is no hindrance to any command") {
  const TempDir temp;
  const fs::path place = temp / fs::path(kLatin1);
  fs::create_directory(place);
  const SmallRun& small = small_run();
  fs::copy(small.data, place / "data", fs::copy_options::recursive);
  fs::copy(small.run, place / "run", fs::copy_options::recursive);
  must_show_path(
      {"tokenizer", "train", "--input", small.texts, "--vocab-size", "300", "--out", place / "t.model"},
      "out");
  must_show_path(
      {"data", "build", "--tokenizer", place / "t.model", "--input", small.texts, "--out", place / "d"},
      "out");
  must_show_path({"data", "inspect", place / "data"}, "path");
  must_show_path({"data", "where", place / "run", "--step", "3"}, "run");
  must_show_path({"inspect", place / "run"}, "model");
  must_show_path({"eval", place / "run", "--data", place / "data"}, "model");
  must_show_path({"export", place / "run", "--format", "hf", "--out", place / "hf"}, "out");
  write_text(place / "tokens.bin", std::string(64, '\1'));
  must_show_path({"data", "import", "--format", "nanogpt", place / "tokens.bin", "--vocab-size", "300",
                  "--out", place / "i"},
                 "out");
  CHECK(run_program({"generate", place / "run", "--prompt", "the", "--max-tokens", "2"}).exit_code == 0);
  CHECK(run_program({"train", small.config, "--out", place / "trained", "train.steps=1"}).exit_code == 0);
  const ProgramResult refused =
      run_program({"train", small.config, "--out", temp / "no", "data.path=" + (place / "data").string()});
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Contains("a config holds UTF-8") && Contains("rename"));
}

TEST_CASE("odd_paths: a path that is too long is refused before the work") {
  const TempDir temp;
  const SmallRun& small = small_run();
  std::string deep = temp.path();
  while (deep.size() + 201 < 4057) deep += "/" + std::string(200, 'd');
  deep += "/" + std::string(4057 - deep.size() - 1, 'e');
  for (const std::string& out :
       {deep, (temp / std::string(256, 'n')).string(), (temp / std::string(300, 'n')).string()}) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"train", small.config, "train.steps=1"},
          {"export", small.run, "--format", "hf"},
          {"data", "build", "--tokenizer", small.tokenizer, "--input", small.texts},
          {"tokenizer", "train", "--input", small.texts, "--vocab-size", "300"}}) {
      std::vector<std::string> arguments = command;
      // A file has no names below it.
      const std::string longer = out == deep ? "/" + std::string(30, 'f') : std::string();
      arguments.insert(arguments.end(), {"--out", command[0] == "tokenizer" ? out + longer + ".model" : out});
      const ProgramResult result = run_program(arguments);
      INFO(command[0] << " to a path of " << out.size());
      CHECK(result.exit_code == 2);
      CHECK(result.out.empty());
      CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains("too long"));
      CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
    }
  }
  for (const std::string& path :
       {deep + "/" + std::string(60, 'x'), (temp / std::string(300, 'n')).string()}) {
    for (const std::vector<std::string>& command : {std::vector<std::string>{"inspect", path},
                                                    {"eval", path, "--data", small.data},
                                                    {"eval", small.run, "--data", path},
                                                    {"data", "inspect", path},
                                                    {"generate", path, "--prompt", ""}}) {
      const ProgramResult result = run_program(command);
      INFO(command[0] << " of a path of " << path.size());
      CHECK(result.exit_code == 2);
      CHECK_THAT(result.err, StartsWith("granule: error: "));
    }
  }
}

TEST_CASE("odd_paths: a link that leads back to itself is an error of the user's, with its place") {
  const TempDir temp;
  fs::create_symlink("self", temp / "self");
  const ProgramResult result = run_program({"inspect", temp / "self"});
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.err, StartsWith("granule: error: ") && Contains((temp / "self").string()));
}
#endif
