// granule data import: makes token shards from the token files of other programs.
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "apps/commands/data/data_command.hpp"
#include "apps/program/console.hpp"
#include "apps/program/progress.hpp"
#include "core/error.hpp"
#include "data/imports/token_import.hpp"
#include "data/open_tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string format;
  fs::path tokenizer;
  std::string eos;
  ImportOptions options;
  bool compress = false;
  bool add_eos = false;
};

TokenFormat format_of(const std::string& name) {
  static const std::map<std::string, TokenFormat> formats{
      {"megatron", TokenFormat::megatron}, {"llmc", TokenFormat::llmc}, {"nanogpt", TokenFormat::nanogpt}};
  const auto found = formats.find(name);
  if (found == formats.end())
    user_error(fmt::format("there is no format {}", name), "--format", "give megatron, llmc or nanogpt");
  return found->second;
}

void check(const Arguments& arguments) {
  const DocumentMarks& marks = arguments.options.marks;
  if (arguments.options.format == TokenFormat::megatron && marks.start) {
    user_error("Megatron's index says where documents begin", "--document-start", "leave it out");
  }
  if (!arguments.eos.empty() && arguments.tokenizer.empty())
    user_error("a token needs its tokenizer", "--eos", "give --tokenizer, or its id with --document-end");
}

std::string describe(const DataSetReport& report) {
  return fmt::format("{} documents  {:.2f} Mtokens", report.train.documents + report.val.documents,
                     static_cast<double>(report.train.tokens + report.val.tokens) * 1e-6);
}

void run(Arguments arguments) {
  ImportOptions& options = arguments.options;
  options.format = format_of(arguments.format);
  options.set.layout = arguments.compress ? Hdf5Layout::compressed : Hdf5Layout::contiguous;
  options.add_eos = arguments.add_eos ? AddEos::yes : AddEos::no;
  check(arguments);
  const auto tokenizer =
      arguments.tokenizer.empty() ? nullptr : open_tokenizer(arguments.tokenizer, arguments.eos);
  Progress progress;
  const DataSetReport report = import_tokens(
      options, tokenizer.get(), [&](const DataSetReport& so_far) { progress.show(describe(so_far)); });
  if (!report.missing_lock.empty()) progress.say("warning: " + report.missing_lock);
  progress.say(fmt::format("{}: {}: train {} tokens, val {} tokens", options.set.out.string(),
                           describe(report), report.train.tokens, report.val.tokens));
  nlohmann::ordered_json json{{"out", options.set.out.string()}, {"format", arguments.format}};
  for (const auto& [name, counts] : {std::pair{"train", report.train}, std::pair{"val", report.val}}) {
    json[name] = {{"shards", counts.shards}, {"documents", counts.documents}, {"tokens", counts.tokens}};
  }
  print_json(json);
}

void add_ids(CLI::App& command, Arguments& arguments) {
  ImportOptions& options = arguments.options;
  command.add_option("--tokenizer", arguments.tokenizer,
                     "The tokenizer that made the files. It gives the vocabulary, the EOS and the lengths of "
                     "text, and it is "
                     "copied.");
  command.add_option("--eos", arguments.eos,
                     "The token that ends documents, if the tokenizer.json does not say it.");
  command.add_option("--vocab-size", options.set.vocab_size,
                     "Vocabulary size of the model. It is required without --tokenizer.");
  command.add_option("--document-start", options.marks.start,
                     "The id that begins documents. Files of llmc and nanogpt are cut before it.");
  command.add_option("--document-end", options.marks.end,
                     "The id that ends documents. Files of llmc and nanogpt are cut after it.");
  command.add_flag("--add-eos", arguments.add_eos, "Put an EOS after documents that do not end with it.");
}

}  // namespace

void add_data_import_command(CLI::App& data) {
  CLI::App& command = *data.add_subcommand("import", "Turn token files of other programs into token shards.");
  const auto arguments = std::make_shared<Arguments>();
  DataSetOptions& set = arguments->options.set;
  command
      .add_option("files", arguments->options.files,
                  "The files, in order. For a pair of Megatron, name either file or their common stem.")
      ->required()
      ->type_name("FILE");
  command
      .add_option("--format", arguments->format,
                  "megatron (.bin and .idx), llmc (.bin with a header) or nanogpt (only uint16 numbers).")
      ->required();
  command.add_option("--out", set.out, "Directory of the data set. It must be new or empty.")->required();
  add_ids(command, *arguments);
  command
      .add_option("--val-fraction", set.val_fraction,
                  "Share of the documents held back for validation. A single document gives its tail.")
      ->capture_default_str();
  command.add_option("--shard-tokens", set.shard_tokens, "A new shard begins after this many tokens.")
      ->capture_default_str();
  command.add_flag("--compress", arguments->compress,
                   "Store chunks with gzip and checksums. They take half the space and are slower to read.");
  command.footer(
      "Example: granule data import --format megatron corpus_text_document --vocab-size 102400 --out "
      "dataset");
  command.callback([arguments] { run(*arguments); });
}

}  // namespace granule
