// What commands that read text have in common: their options, and their messages about files and lines that
// gave no document.
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

/// The last two of them.
void add_line_options(CLI::App& command, LineOptions& lines);

/// Warns about what a scan of directories left out. Call it before the text is read.
void tell_left_out(const TextSource& text);
/// Warns about the lines that were skipped. Call it after the text was read.
void tell_skipped_lines(const TextSource& text);

/// For the JSON of a command: the files left out, the skipped lines, and the number of files.
[[nodiscard]] nlohmann::ordered_json describe_input(const TextSource& text);

}  // namespace granule
