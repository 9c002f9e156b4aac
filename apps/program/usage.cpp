#include "apps/program/usage.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <regex>
#include <sstream>
#include <string_view>
#include <vector>

#include <fmt/ranges.h>

#include "apps/config/key_advice.hpp"

namespace granule {
namespace {

/// The command that was being parsed.
const CLI::App& parsed_command(const CLI::App& program) {
  const CLI::App* at = &program;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

/// The command as it is typed: "granule data build".
std::string typed(const CLI::App& command) {
  const CLI::App* const parent = command.get_parent();
  return parent == nullptr ? command.get_name() : typed(*parent) + ' ' + command.get_name();
}

/// "--out" stays as it is. The positional "config" becomes CONFIG, which is its name in the help.
std::string shown(const CLI::App& command, const std::string& name) {
  const CLI::Option* const option = name.starts_with('-') ? nullptr : command.get_option_no_throw(name);
  return option == nullptr ? name : option->get_type_name();
}

/// The option that a mistyped one may mean. Absent for a word that is not an option.
std::optional<std::string> nearest_option(const CLI::App& command, const std::string& word) {
  if (!word.starts_with("--")) return std::nullopt;
  std::vector<std::string> names;
  for (const CLI::Option* const option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string name = word.substr(0, word.find('='));
  const std::string_view near = near_word(name, known, name.size() - 2);
  return near.empty() ? std::nullopt : std::optional(std::string(near));
}

/// What "--steps" or "--learning-rate" means, if the command takes keys of the config.
std::optional<std::string> meant_key(const CLI::App& command, const std::string& word) {
  if (!word.starts_with("--") || command.get_option_no_throw("overrides") == nullptr) return std::nullopt;
  const std::string name = word.substr(2, word.find('=') - 2);
  const std::vector<std::string_view> keys = keys_meant(name);
  if (keys.empty()) {
    const std::string advice = advice_for_name(name);
    return advice.empty() ? std::nullopt : std::optional(advice);
  }
  return fmt::format("a key of the config is given as {}=VALUE", fmt::join(keys, "=VALUE or "));
}

/// The message for words that do not belong to the command. A mistyped option takes its value with it.
std::string unexpected(const CLI::App& command, const std::string& words) {
  std::istringstream stream(words);
  std::string first;
  for (std::string word; stream >> word;) {
    if (const auto nearest = nearest_option(command, word))
      return fmt::format("there is no option {}: did you mean {}?", word, *nearest);
    if (const auto key = meant_key(command, word))
      return fmt::format("there is no option {}: {}", word, *key);
    if (word.starts_with("--")) return fmt::format("there is no option {}", word);
    if (first.empty()) first = word;
  }
  return fmt::format("'{}' is one word too many", first);
}

/// What is wrong with a number that CLI11 could not convert.
std::string fault_of_number(const std::string& text) {
  errno = 0;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || std::isnan(number)) return "is no number";
  constexpr double kExact = 9e15;
  if (errno != 0 || std::abs(number) > kExact) return "is too large";
  if (number < 0) return "is negative";
  if (number != std::floor(number)) return "is no whole number";
  return fmt::format("is no number of digits alone: write {:.0f}", number);
}

/// CLI11 gives the parts of a mistake only within its sentence. A sentence that is not known here is kept.
std::string in_our_words(const CLI::App& command, const std::string& sentence) {
  std::smatch part;
  const auto is = [&](const char* pattern) { return std::regex_match(sentence, part, std::regex(pattern)); };
  if (is("(\\S+) is required")) return fmt::format("{} is missing", shown(command, part[1]));
  if (is("(\\S+): .*\\d+ required (\\S+ )?missing")) return fmt::format("{} needs a value", part[1].str());
  if (is("(\\S+): At Most 1 required.*")) return fmt::format("{} is given more than once", part[1].str());
  if (is("(\\S+): (.*) not in \\{(.*)\\}"))
    return fmt::format("{} {} is none of {}", part[1].str(), part[2].str(), part[3].str());
  if (is("(\\S+): Value (.*) not in range (.*) to (.*)") ||     // CLI11 2.3
      is("(\\S+): Value (.*) not in range \\[(.*) - (.*)\\]"))  // CLI11 2.4
    return fmt::format("{} {} is not between {} and {}", part[1].str(), part[2].str(), part[3].str(),
                       part[4].str());
  if (is("(\\S+): (\\S+) is too large"))
    return fmt::format("{} {} is too large", part[1].str(), part[2].str());
  if (is("Could not convert: (\\S+) = ([^]*)")) {
    const CLI::Option& option = *command.get_option_no_throw(part[1]);
    return fmt::format("{} {} {}", part[1].str(), part[2].str(),
                       option.get_expected_max() == 0 ? "takes no value" : fault_of_number(part[2]));
  }
  if (is("The following arguments? w(?:as|ere) not expected: ([^]*)")) return unexpected(command, part[1]);
  return sentence;
}

}  // namespace

void require_one_of_its_commands(CLI::App& parent) {
  parent.callback([&parent] {
    if (!parent.get_subcommands().empty()) return;
    std::string names;
    for (const CLI::App* const command : parent.get_subcommands([](const CLI::App*) { return true; })) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", command->get_name());
    }
    throw UsageError(fmt::format("granule {} needs a command: {}", parent.get_name(), names),
                     fmt::format("see granule {} --help", parent.get_name()));
  });
}

void refuse_large_integers(CLI::App& program) {
  const auto fault = [](const std::string& text) -> std::string {
    errno = 0;
    static_cast<void>(std::strtoll(text.c_str(), nullptr, 10));
    return errno == ERANGE ? fmt::format("{} is too large", text) : std::string();
  };
  for (CLI::Option* const option : program.get_options()) {
    const std::string type = option->get_type_name();
    if (type == "INT" || type == "UINT" || type == "N") option->check(CLI::Validator(fault, ""));
  }
  for (CLI::App* const command : program.get_subcommands([](CLI::App*) { return true; }))
    refuse_large_integers(*command);
}

void refuse_usage(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& command = parsed_command(program);
  throw UsageError(in_our_words(command, error.what()), fmt::format("see {} --help", typed(command)));
}

}  // namespace granule
