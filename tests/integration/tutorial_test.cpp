// Executes docs/tutorial.md: every command that a reader would type, in order.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "data/files/files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/files.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"

using granule::read_file;
using namespace granule::test;
namespace fs = std::filesystem;

namespace {

/// What the page has between ```sh and ```.
std::string commands_of(const fs::path& page) {
  std::istringstream lines(read_file(page));
  std::string all;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = line == "```sh";
    } else if (inside) {
      all += line + '\n';
    }
  }
  return all;
}

}  // namespace

TEST_CASE("tutorial: every command of docs/tutorial.md works, and the report answers the question") {
  const TempDir home;
  fs::create_symlink(source_dir(), home / "granule");
  fs::create_directory(home / "work");
  const std::string commands = commands_of(fs::path(source_dir()) / "docs/tutorial.md");
  REQUIRE(std::ranges::count(commands, '\n') > 40);
  write_text(home / "tutorial.sh", "set -eu\n" + commands);
  const char* const path = std::getenv("PATH");
  REQUIRE(path != nullptr);
  const ProgramResult result =
      RunningProgram({home / "tutorial.sh"},
                     {.environment = {{"HOME", home.path()},
                                      {"PATH", fs::path(program_path()).parent_path().string() + ":" + path}},
                      .working_directory = home / "work",
                      .program = "/bin/bash",
                      .timeout = std::chrono::seconds(600)})
          .wait();
  INFO(result.err);
  REQUIRE(result.exit_code == 0);

  const auto report = nlohmann::json::parse(read_file(home / "work/answer.json"));
  CHECK(report["runs"].size() == 6);
  REQUIRE(report["variants"].size() == 2);
  CHECK(report["variants"][0]["n"] == 3);
  CHECK(report["comparisons"][0][1]["test"] == "paired t-test, two-sided");
  for (const char* const file : {"answer.html", "experts.html", "answer.csv"})
    CHECK(fs::exists(home / "work" / file));
}
