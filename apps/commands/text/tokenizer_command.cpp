// granule tokenizer train: makes a new vocabulary from text.
#include "apps/commands/text/tokenizer_command.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/inputs/text_input.hpp"
#include "apps/program/console.hpp"
#include "apps/program/progress.hpp"
#include "apps/program/usage.hpp"
#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "data/files/paths.hpp"
#include "data/tokenizers/tokenizer_training.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  TextInput input;
  std::int64_t vocab_size = 0;
  fs::path out;
};

// It is called before minutes of training, not after them.
void require_writable(const fs::path& out) {
  if (out.extension() != ".model")
    user_error("the name must end in .model", out.string(), "choose such a name for --out");
  require_path_fits(out, {.added = 32});  // it is first written under a longer name
  std::error_code error;
  if (fs::exists(out, error)) user_error("the file already exists", out.string(), "choose another --out");
  const fs::path directory = out.has_parent_path() ? out.parent_path() : ".";
  fs::create_directories(directory, error);
  if (error)
    user_error(fmt::format("cannot create the directory: {}", error.message()), out.string(),
               "choose another --out");
  // Only an attempt tells, for root and on every file system.
  const fs::path attempt = out.string() + ".attempt";
  errno = 0;
  if (!std::ofstream(attempt))
    user_error(fmt::format("cannot write in the directory: {}", std::strerror(errno)), out.string(),
               "choose another --out");
  fs::remove(attempt, error);
}

void tell_cut_signs(std::int64_t count) {
  if (count == 0) return;
  say("granule: warning: \u2585 (U+2585) occurs {} times in the text: SentencePiece reserves this sign, so "
      "the "
      "text beside it was trained on without the sign",
      count);
}

void run(const Arguments& arguments) {
  require_writable(arguments.out);
  TextSource text(arguments.input.paths, DocumentUnit::file, arguments.input.lines);
  tell_left_out(text);
  const auto start = std::chrono::steady_clock::now();
  Progress progress;
  progress.say(fmt::format("training {} pieces on {:.1f} MB of files", arguments.vocab_size,
                           static_cast<double>(text.bytes_total()) * 1e-6));
  const TrainedTokenizer trained = train_tokenizer(text, arguments.vocab_size, [&] {
    progress.show(fmt::format("read {:.1f} of {:.1f} MB", static_cast<double>(text.bytes_read()) * 1e-6,
                              static_cast<double>(text.bytes_total()) * 1e-6));
  });
  tell_skipped_lines(text);
  tell_cut_signs(trained.signs_cut);
  write_file(arguments.out, trained.model);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.say(
      fmt::format("{}: {} pieces in {:.1f} s", arguments.out.string(), arguments.vocab_size, seconds));
  const nlohmann::ordered_json json{{"out", arguments.out.string()},
                                    {"vocab_size", arguments.vocab_size},
                                    {"sha256", sha256_of(std::as_bytes(std::span(trained.model)))},
                                    {"text_bytes", trained.text_bytes},
                                    {"input", describe_input(text)}};
  print_json(json);
}

}  // namespace

void add_tokenizer_command(CLI::App& program) {
  CLI::App& tokenizer = *program.add_subcommand("tokenizer", "Train a tokenizer, or use one.");
  CLI::App& command =
      *tokenizer.add_subcommand("train", "Train a SentencePiece BPE vocabulary with byte fallback.");
  const auto arguments = std::make_shared<Arguments>();
  add_text_options(command, arguments->input);
  command
      .add_option("--vocab-size", arguments->vocab_size,
                  "Size of the vocabulary. It includes the 256 bytes and 3 special pieces.")
      ->required();
  command.add_option("--out", arguments->out, "The new file. Its name must end in .model.")->required();
  command.footer("Example: granule tokenizer train --input book.txt --vocab-size 8192 --out tok.model");
  command.callback([arguments] { run(*arguments); });
  add_tokenizer_ids_commands(tokenizer);
  require_one_of_its_commands(tokenizer);
  tokenizer.footer("Example: granule tokenizer train --input book.txt --vocab-size 8192 --out tok.model");
}

}  // namespace granule
