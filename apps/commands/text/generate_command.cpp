// granule generate: continues a prompt with text.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/generation/text_generator.hpp"
#include "apps/inputs/whole_text.hpp"
#include "apps/models/running_model.hpp"
#include "apps/program/console.hpp"
#include "apps/program/usage.hpp"
#include "core/error.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct GenerateArguments {
  fs::path model;
  std::optional<std::string> prompt;
  std::optional<fs::path> prompt_file;
  bool from_stdin = false, echo = false, json = false;
  std::int64_t seed = 0;
  GenerationOptions options;
};

constexpr const char* kExample =
    "Example:\n  granule generate runs/tiny --prompt \"The white whale\" --max-tokens 80 --temperature 0.7 "
    "--seed 1\n"
    "  echo \"The white\" | granule generate runs/tiny --stdin --echo --stop . --json";

void check(const GenerateArguments& arguments) {
  const auto refuse = [](std::string_view option, auto value, std::string_view range) {
    user_error(fmt::format("{} {} is out of range", option, value), "command line", range);
  };
  const GenerationOptions& options = arguments.options;
  const SamplingOptions& sampling = options.sampling;
  if (!(sampling.temperature >= 0.0 && std::isfinite(sampling.temperature)))
    refuse("--temperature", sampling.temperature,
           "give 0 or more: 0 takes the likeliest token, 1 samples as predicted");
  if (!(sampling.top_p > 0.0 && sampling.top_p <= 1.0))
    refuse("--top-p", sampling.top_p, "give a probability above 0, at most 1");
  if (sampling.top_k < 0) refuse("--top-k", sampling.top_k, "give a number of tokens, or 0 for all");
  if (options.max_tokens < 1) refuse("--max-tokens", options.max_tokens, "give at least 1");
  if (arguments.seed < 0) refuse("--seed", arguments.seed, "give at least 0");
  for (const std::string& stop : options.stops) {
    if (stop.empty()) user_error("--stop is empty", "command line", "give the text that ends the output");
    require_utf8(stop, "--stop");
  }
}

struct PromptText {
  std::string text, where;
};

/// From a file or stdin, without one line end at its end, which editors and echo add.
PromptText prompt_text(const GenerateArguments& arguments) {
  if (int{arguments.prompt.has_value()} + int{arguments.prompt_file.has_value()} +
          int{arguments.from_stdin} !=
      1)
    throw UsageError("the prompt must be given once",
                     "give one of --prompt, --prompt-file and --stdin; --prompt \"\" starts a new text");
  if (arguments.prompt) {
    require_utf8(*arguments.prompt, "--prompt");
    return {*arguments.prompt, "--prompt"};
  }
  const fs::path path = arguments.prompt_file.value_or(fs::path(kStdin));
  PromptText prompt{read_whole_text(path), name_of_input(path)};
  if (prompt.text.ends_with('\n')) prompt.text.pop_back();
  if (prompt.text.ends_with('\r')) prompt.text.pop_back();
  return prompt;
}

std::string why(Finish finish, std::int64_t positions) {
  switch (finish) {
    case Finish::eos:
      return "the text ended";
    case Finish::stop:
      return "a --stop came";
    case Finish::max_tokens:
      return "--max-tokens reached";
    case Finish::positions:
      break;
  }
  return fmt::format(
      "stopped: the model knows {} positions, and prompt and text fill them (max_position_embeddings)",
      positions);
}

void print_generated(const GenerateArguments& arguments, const ModelFiles& files, const PromptText& prompt,
                     const Prompt& tokens, const GeneratedText& done) {
  if (!arguments.json) {
    print_out("\n");
    return;
  }
  const SamplingOptions& sampling = arguments.options.sampling;
  const nlohmann::ordered_json json{{"model", files.path().string()},
                                    {"prompt", prompt.text},
                                    {"prompt_tokens", tokens.length},
                                    {"text", (arguments.echo ? prompt.text : "") + done.text},
                                    {"tokens", done.tokens.size()},
                                    {"token_ids", done.tokens},
                                    {"finish_reason", name_of(done.finish)},
                                    {"temperature", sampling.temperature},
                                    {"top_k", sampling.top_k},
                                    {"top_p", sampling.top_p},
                                    {"seed", arguments.seed}};
  print_json(json);
}

Prompt tokens_of(Tokenizer& tokenizer, const PromptText& prompt, const ModelFiles& files) {
  Prompt tokens;
  try {
    tokens = prompt_of(tokenizer, prompt.text, text_start(files, tokenizer));
  } catch (const EncodingError& error) {
    error.refuse(prompt.where);
  }
  const std::int64_t positions = files.config().model.positions(), before = std::ssize(tokens.tokens);
  if (before > positions) {
    user_error(fmt::format("the prompt has {} tokens{}, and the model knows {} positions", tokens.length,
                           before > tokens.length ? ", one token comes before it" : "", positions),
               prompt.where, "shorten it");
  }
  return tokens;
}

void generate(const GenerateArguments& arguments) {
  check(arguments);
  const ModelFiles files = open_model(arguments.model);
  const auto tokenizer = text_tokenizer(files);
  const PromptText prompt = prompt_text(arguments);
  const Prompt tokens = tokens_of(*tokenizer, prompt, files);
  RunningModel running(files);
  const std::int64_t positions = running.model().config().positions(), before = std::ssize(tokens.tokens);
  Decoder decoder(running.context(), running.model(),
                  std::min(positions, before + std::min(arguments.options.max_tokens, positions)));
  const auto start = std::chrono::steady_clock::now();
  if (arguments.echo && !arguments.json) print_out(prompt.text);
  const GeneratedText done =
      generate_text(decoder, *tokenizer, tokens, arguments.options, [&](std::string_view text) {
        if (!arguments.json) print_out(text);
      });
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  print_generated(arguments, files, prompt, tokens, done);
  say("{} token{} after a prompt of {} in {:.1f} s ({:.0f} tok/s): {}", done.tokens.size(),
      done.tokens.size() == 1 ? "" : "s", tokens.length, seconds.count(),
      static_cast<double>(done.tokens.size()) / seconds.count(), why(done.finish, decoder.capacity()));
}

void add_sampling_options(CLI::App& command, GenerateArguments& arguments) {
  SamplingOptions& sampling = arguments.options.sampling;
  command
      .add_option(
          "--temperature", sampling.temperature,
          "With 0 the likeliest token is always taken. With 1 a token is as likely as the model predicts. "
          "Lower values prefer likely tokens.")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "Choose among the K likeliest tokens; 0 means all.")
      ->capture_default_str();
  command
      .add_option("--top-p", sampling.top_p,
                  "Choose among the likeliest tokens that together have this probability; 1 means all.")
      ->capture_default_str();
  command
      .add_option("--seed", arguments.seed, "The same seed gives the same text, another seed another text.")
      ->capture_default_str();
}

}  // namespace

void add_generate_command(CLI::App& program) {
  const auto arguments = std::make_shared<GenerateArguments>();
  CLI::App& command = *program.add_subcommand("generate", "Continue a text.");
  command.add_option("model", arguments->model, kModelHelp)->required()->type_name("MODEL");
  command.add_option("--prompt", arguments->prompt, "The beginning of the text. \"\" starts a new text.")
      ->type_name("TEXT");
  command
      .add_option("--prompt-file", arguments->prompt_file,
                  "A file with the prompt. - means stdin. One line end at its end is left out.")
      ->type_name("FILE");
  command.add_flag("--stdin", arguments->from_stdin, "Take the prompt from stdin, like --prompt-file -.");
  command.add_flag("--echo", arguments->echo, "Print the prompt before the text.");
  command.add_flag("--json", arguments->json,
                   "Print one JSON object with the text, its token ids and why it ended.");
  command
      .add_option("--stop", arguments->options.stops,
                  "End before this text. The option may be given several times.")
      ->type_name("TEXT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  command.add_option("--max-tokens", arguments->options.max_tokens, "Generate at most this many tokens.")
      ->capture_default_str();
  add_sampling_options(command, *arguments);
  command.footer(kExample);
  command.callback([arguments] {
    arguments->options.sampling.seed = static_cast<std::uint64_t>(arguments->seed);
    generate(*arguments);
  });
}

}  // namespace granule
