// Compares the pages of docs with the program's own help and exit codes.
#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "core/error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_run.hpp"

using namespace granule::test;

namespace {

using Names = std::set<std::string>;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

using Sections = std::map<std::string, Names>;

/// Other sections may have options of other programs, such as mpirun's, and the same one twice.
bool is_of_commands(const std::string& section) {
  return section.starts_with("granule ") || section == "Exit codes";
}

void add_sections(const std::filesystem::path& page, Sections& sections) {
  std::string section;
  const std::regex option(R"(\| `(--[a-z-]+)[^`]*` \|.*)"), code(R"(\| ([0-9]+) \|.*)");
  for (const std::string& line : lines_of(text_of(page))) {
    std::smatch found;
    if (line.starts_with("## ")) {
      section = line.substr(3);
      std::erase(section, '`');
      if (is_of_commands(section)) CHECK(sections.emplace(section, Names()).second);
    } else if (!is_of_commands(section)) {
      continue;
    } else if (std::regex_match(line, found, option) || std::regex_match(line, found, code)) {
      CHECK(sections[section].insert(found[1]).second);
    }
  }
}

/// Maps a section heading such as "granule eval" to the options in its table. The codes are under "Exit
/// codes". A command with a page of its own has its section there.
Sections documented() {
  Sections sections;
  for (const auto& page : std::filesystem::directory_iterator(source_dir() + "/docs")) {
    if (page.path().extension() == ".md") add_sections(page.path(), sections);
  }
  return sections;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

struct Help {
  Names options;
  std::vector<std::string> commands;
};

Help help_of(const std::string& command) {
  std::vector<std::string> arguments = words_of(command);
  arguments.front() = "--help";
  std::rotate(arguments.begin(), arguments.begin() + 1, arguments.end());
  Help help;
  bool commands = false;
  const auto result = run_program(arguments);
  REQUIRE(result.exit_code == 0);
  const std::regex option(R"(  (--[a-z-]+).*)"), name(R"(  ([a-z]+) .*)");
  for (const std::string& line : lines_of(result.out)) {
    std::smatch found;
    if (line.starts_with("Subcommands")) commands = true;
    if (std::regex_match(line, found, option)) help.options.insert(found[1]);
    if (commands && std::regex_match(line, found, name)) help.commands.push_back(found[1]);
  }
  return help;
}

/// Every command that does something itself, with its options.
std::map<std::string, Names> built(const std::string& command) {
  const Help help = help_of(command);
  if (help.commands.empty()) return {{command, help.options}};
  std::map<std::string, Names> all;
  for (const std::string& name : help.commands) all.merge(built(fmt::format("{} {}", command, name)));
  return all;
}

}  // namespace

TEST_CASE("commands_docs: every command and every option stands in docs, and no other") {
  const auto sections = documented();
  const auto commands = built("granule");
  CHECK(commands.size() >= 10);
  for (const auto& [command, options] : commands) {
    INFO(command);
    REQUIRE(sections.contains(command));
    CHECK(sections.at(command) == options);
  }
  for (const auto& [section, options] : sections) {
    if (section.starts_with("granule ") && section != "granule --version") CHECK(commands.contains(section));
  }
}

TEST_CASE("commands_docs: every command shows an example in its help") {
  for (const auto& [command, options] : built("granule")) {
    INFO(command);
    auto arguments = words_of(command + " --help");
    arguments.erase(arguments.begin());
    CHECK_THAT(run_program(arguments).out, Catch::Contains(command) && Catch::Contains("Example:"));
  }
}

TEST_CASE("commands_docs: docs/commands.md lists every exit code") {
  using granule::ExitCode;
  Names codes;
  for (const ExitCode code :
       {ExitCode::success, ExitCode::failure, ExitCode::user, ExitCode::out_of_memory, ExitCode::in_use,
        ExitCode::io, ExitCode::hang, ExitCode::out_of_step, ExitCode::non_finite}) {
    codes.insert(fmt::format("{}", static_cast<int>(code)));
  }
  CHECK(documented().at("Exit codes") == codes);
}
