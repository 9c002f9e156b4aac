// What commands that read text have in common: their options, and what they say of files and lines that gave
// no document.
#pragma once
#include <filesystem>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "data/text/text_source.hpp"

namespace granule {

struct TextInput {
  std::vector<std::filesystem::path> paths;
  LineOptions lines;
};

/// --input, --text-key and --skip-bad-lines. `input` must outlive the command.
void add_text_options(CLI::App& command, TextInput& input);

/// Warns of what a scan of directories left out. Call it before the text is read.
void tell_left_out(const TextSource& text);
/// Warns of the lines that were skipped. Call it after the text was read.
void tell_skipped_lines(const TextSource& text);

/// Both, and how many files there were, for the JSON of a command.
[[nodiscard]] nlohmann::ordered_json describe_input(const TextSource& text);

}  // namespace granule
