// granule data build: makes token shards from text.
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/commands/data/data_command.hpp"
#include "apps/inputs/text_input.hpp"
#include "apps/program/console.hpp"
#include "apps/program/progress.hpp"
#include "core/error.hpp"
#include "data/open_tokenizer.hpp"
#include "data/shards/shard_builder.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  fs::path tokenizer;
  std::string eos;
  TextInput input;
  DataSetOptions build;
  bool compress = false;
  bool split_lines = false;
  bool bos = false;
};

nlohmann::ordered_json to_json(const SplitCounts& counts) {
  return {{"shards", counts.shards},
          {"documents", counts.documents},
          {"tokens", counts.tokens},
          {"bytes", counts.utf8_bytes}};
}

std::string describe(const TextSource& text, const DataSetReport& report, double seconds) {
  const auto tokens = static_cast<double>(report.train.tokens + report.val.tokens);
  return fmt::format(
      "{:3.0f} %  {:.1f} of {:.1f} MB of files  {} documents  {:.2f} Mtokens  {:.1f} MB of text a second",
      100.0 * static_cast<double>(text.bytes_read()) / static_cast<double>(text.bytes_total()),
      static_cast<double>(text.bytes_read()) * 1e-6, static_cast<double>(text.bytes_total()) * 1e-6,
      report.train.documents + report.val.documents, tokens * 1e-6,
      static_cast<double>(report.train.utf8_bytes + report.val.utf8_bytes) * 1e-6 / std::max(seconds, 1e-3));
}

void tell_unknown(const DataSetReport& report, const Tokenizer& tokenizer) {
  if (report.unknown_tokens == 0) return;
  const std::int64_t tokens = report.train.tokens + report.val.tokens;
  say("granule: warning: {} of {} tokens ({:.2g} %) are {}: the tokenizer has no token for that text, and "
      "the text is lost; a tokenizer with byte fallback keeps it",
      report.unknown_tokens, tokens,
      100.0 * static_cast<double>(report.unknown_tokens) / static_cast<double>(tokens),
      tokenizer.token_name(*tokenizer.unknown_id()));
}

void run(Arguments arguments) {
  arguments.build.layout = arguments.compress ? Hdf5Layout::compressed : Hdf5Layout::contiguous;
  const auto tokenizer = open_tokenizer(arguments.tokenizer, arguments.eos);
  TextSource text(arguments.input.paths, arguments.split_lines ? DocumentUnit::line : DocumentUnit::file,
                  arguments.input.lines);
  tell_left_out(text);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  Progress progress;
  const DataSetReport report = build_shards(
      text, *tokenizer, arguments.build,
      [&](const DataSetReport& so_far) { progress.show(describe(text, so_far, seconds())); },
      arguments.bos ? AddBos::yes : AddBos::no);
  if (!report.missing_lock.empty()) progress.say("warning: " + report.missing_lock);
  progress.say(fmt::format("{}  in {:.1f} s", describe(text, report, seconds()), seconds()));
  progress.say(fmt::format("{}: train {} tokens, val {} tokens", arguments.build.out.string(),
                           report.train.tokens, report.val.tokens));
  tell_skipped_lines(text);
  tell_unknown(report, *tokenizer);
  const nlohmann::ordered_json json{
      {"out", arguments.build.out.string()},
      {"vocab_size", std::max(tokenizer->vocab_size(), arguments.build.vocab_size)},
      {"tokenizer_sha256", tokenizer->sha256()},
      {"bos", arguments.bos},
      {"train", to_json(report.train)},
      {"val", to_json(report.val)},
      {"unknown_tokens", report.unknown_tokens},
      {"input", describe_input(text)}};
  print_json(json);
}

}  // namespace

void add_data_build_command(CLI::App& data) {
  CLI::App& command =
      *data.add_subcommand("build", "Turn text into token shards, a manifest and a copy of the tokenizer.");
  const auto arguments = std::make_shared<Arguments>();
  command
      .add_option(
          "--tokenizer", arguments->tokenizer,
          "A SentencePiece .model (granule tokenizer train writes one), a BPE tokenizer.json, or a directory "
          "that holds one of them.")
      ->required();
  command.add_option("--eos", arguments->eos,
                     "The token that ends documents, if the tokenizer.json does not say it.");
  command.add_flag(
      "--bos", arguments->bos,
      "Put the tokenizer's BOS before every document. Then granule generate and exports do the same.");
  add_text_options(command, arguments->input);
  command
      .add_option("--out", arguments->build.out,
                  "Directory of the data set. It must be new or empty. Until the set is complete, it is in "
                  "DIR.partial. An interrupted build leaves that, and the next one removes it.")
      ->required();
  command
      .add_option("--val-fraction", arguments->build.val_fraction,
                  "Share of the documents held back for validation. A single document gives its tail.")
      ->capture_default_str();
  command
      .add_option("--shard-tokens", arguments->build.shard_tokens,
                  "A new shard begins after this many tokens.")
      ->capture_default_str();
  command.add_option("--vocab-size", arguments->build.vocab_size,
                     "Vocabulary size of the model, if it is larger than that of the tokenizer.");
  command.add_flag("--compress", arguments->compress,
                   "Store chunks with gzip and checksums. They take half the space and are slower to read.");
  command.add_flag("--split-lines", arguments->split_lines, "Take every line of a text file as a document.");
  command.footer(
      "Example: granule data build --tokenizer tok.model --input book.txt more/ --out dataset --val-fraction "
      "0.05");
  command.callback([arguments] { run(*arguments); });
}

}  // namespace granule
