#include "apps/inputs/text_input.hpp"

#include <algorithm>
#include <string>

#include "apps/program/console.hpp"

namespace granule {
namespace {

constexpr std::size_t kNamedToPeople = 5, kNamedToMachines = 20;

}  // namespace

void add_text_options(CLI::App& command, TextInput& input) {
  command
      .add_option(
          "--input", input.paths,
          "Text files, JSON Lines files, directories of them, or - for stdin. They may be compressed by "
          "gzip or Zstandard.")
      ->required();
  add_line_options(command, input.lines);
}

void add_line_options(CLI::App& command, LineOptions& lines) {
  command
      .add_option("--text-key", lines.text_key, "The key in a JSON Lines object whose value is the document.")
      ->capture_default_str();
  command
      .add_option("--skip-bad-lines", lines.skip_bad_lines,
                  "At most this many lines without a document are skipped. One more is an error.")
      ->capture_default_str();
}

void tell_left_out(const TextSource& text) {
  const auto& left_out = text.inputs().left_out;
  if (left_out.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < std::min(left_out.size(), kNamedToPeople); ++i)
    names += fmt::format("{}{} ({})", i == 0 ? "" : ", ", left_out[i].path.string(), left_out[i].why);
  if (left_out.size() > kNamedToPeople)
    names += fmt::format(" and {} more", left_out.size() - kNamedToPeople);
  say("granule: warning: left out of the input: {} {}: {}", left_out.size(),
      left_out.size() == 1 ? "entry" : "entries", names);
}

void tell_skipped_lines(const TextSource& text) {
  const SkippedLines& skipped = text.skipped();
  if (skipped.count == 0) return;
  say("granule: warning: skipped {} bad {}:", skipped.count, skipped.count == 1 ? "line" : "lines");
  for (const std::string& line : skipped.first) say("  {}", line);
  const auto more = skipped.count - std::ssize(skipped.first);
  if (more > 0) say("  and {} more", more);
}

nlohmann::ordered_json describe_input(const TextSource& text) {
  const InputFiles& inputs = text.inputs();
  nlohmann::ordered_json first = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < std::min(inputs.left_out.size(), kNamedToMachines); ++i)
    first.push_back({{"path", inputs.left_out[i].path.string()}, {"why", inputs.left_out[i].why}});
  const auto json_lines = std::ranges::count(inputs.files, TextKind::json_lines, &InputFile::kind);
  return {{"files", inputs.files.size()},
          {"json_lines_files", json_lines},
          {"left_out", {{"count", inputs.left_out.size()}, {"first", first}}},
          {"skipped_lines", {{"count", text.skipped().count}, {"first", text.skipped().first}}}};
}

}  // namespace granule
