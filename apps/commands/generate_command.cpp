// granule generate: text that follows a prompt.
#include <chrono>
#include <cmath>

#include "apps/commands/commands.hpp"
#include "apps/console.hpp"
#include "apps/generation/generation.hpp"
#include "apps/generation/token_sampler.hpp"
#include "apps/model_files.hpp"
#include "core/error.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

struct GenerateArguments {
  fs::path model;
  std::string prompt;
  std::int64_t max_tokens = 256, seed = 0;
  SamplingOptions sampling{.temperature = 0.8};
};

constexpr const char* kExample =
    "Example:\n  granule generate runs/tiny --prompt \"The white whale\" --max-tokens 80 --temperature 0.7 "
    "--seed 1";

void check(const GenerateArguments& arguments) {
  const auto refuse = [](std::string_view option, auto value, std::string_view range) {
    user_error(fmt::format("{} {} is out of range", option, value), "command line", range);
  };
  const SamplingOptions& sampling = arguments.sampling;
  if (!(sampling.temperature >= 0.0 && std::isfinite(sampling.temperature)))
    refuse("--temperature", sampling.temperature, "0 takes the likeliest token, 1 samples as predicted");
  if (!(sampling.top_p > 0.0 && sampling.top_p <= 1.0))
    refuse("--top-p", sampling.top_p, "give a probability above 0, at most 1");
  if (sampling.top_k < 0) refuse("--top-k", sampling.top_k, "give a number of tokens, or 0 for all");
  if (arguments.max_tokens < 1) refuse("--max-tokens", arguments.max_tokens, "give at least 1");
  if (arguments.seed < 0) refuse("--seed", arguments.seed, "give at least 0");
}

std::unique_ptr<Tokenizer> tokenizer_of(const ModelFiles& files) {
  if (!files.tokenizer()) {
    user_error("the model has no tokenizer", files.path().string(),
               "put the tokenizer.model or tokenizer.json of its training data beside the weights");
  }
  auto tokenizer = open_tokenizer(*files.tokenizer());
  const std::int64_t pieces = tokenizer->vocab_size(), entries = files.config().model.vocab_size;
  if (pieces > entries) {
    user_error(fmt::format("the tokenizer has {} pieces, the model's vocabulary {}", pieces, entries),
               files.tokenizer()->string(), "give the model its own tokenizer");
  }
  if (!tokenizer->eos_id()) {
    user_error("the tokenizer has no end-of-text token, which documents follow in training",
               files.tokenizer()->string(), "use a tokenizer with one");
  }
  return tokenizer;
}

/// A document begins after the end of the one before it.
std::vector<std::int32_t> starting_tokens(Tokenizer& tokenizer, const std::string& prompt) {
  if (first_invalid_utf8(prompt)) user_error("the prompt is not UTF-8", "--prompt", "convert it to UTF-8");
  std::vector<std::int32_t> tokens{*tokenizer.eos_id()};
  const auto text = tokenizer.encode(prompt);
  tokens.insert(tokens.end(), text.begin(), text.end());
  return tokens;
}

struct Generated {
  std::int64_t tokens = 0;
  std::string reason;
};

/// Prints the text as it grows; says why it ended.
Generated generate_text(Decoder& decoder, const Tokenizer& tokenizer, std::vector<std::int32_t> next,
                        const GenerateArguments& arguments) {
  TokenSampler sampler(arguments.sampling);
  TextStream text(tokenizer, next.size() == 1 ? TextPosition::document_start : TextPosition::inside);
  Generated done;
  while (true) {
    const std::vector<double> logits = decoder.feed(next);
    // Rows that pad the vocabulary stand for no piece.
    const std::int32_t token =
        sampler.choose(std::span(logits).first(static_cast<std::size_t>(tokenizer.vocab_size())));
    if (token == tokenizer.eos_id()) {
      done.reason = "the text ended";
      break;
    }
    ++done.tokens;
    print_out(text.add(token));
    if (done.tokens == arguments.max_tokens) {
      done.reason = "--max-tokens reached";
      break;
    }
    if (decoder.length() == decoder.capacity()) {
      done.reason = fmt::format(
          "stopped: the model knows {} positions, and prompt and text fill them "
          "(max_position_embeddings)",
          decoder.capacity());
      break;
    }
    next = {token};
  }
  print_out(text.finish() + "\n");
  return done;
}

void generate(const GenerateArguments& arguments) {
  check(arguments);
  const ModelFiles files = open_model(arguments.model);
  const auto tokenizer = tokenizer_of(files);
  const auto start_tokens = starting_tokens(*tokenizer, arguments.prompt);
  RunConfig config = files.config();
  const std::int64_t positions = config.model.positions();
  if (std::ssize(start_tokens) > positions) {
    user_error(fmt::format("the prompt has {} tokens, the model knows {} positions and the first is taken",
                           start_tokens.size() - 1, positions),
               "--prompt", "shorten it");
  }
  config.train.threads = 0;  // those of the machine it was trained on say nothing about this one
  Context context({.threads = thread_count(config)});
  const auto model = files.load(context, config, config.train.dtype, Gradients::no);
  const std::int64_t wanted = std::ssize(start_tokens) + std::min(arguments.max_tokens, positions);
  Decoder decoder(context, *model, std::min(positions, wanted));
  const auto start = std::chrono::steady_clock::now();
  const Generated done = generate_text(decoder, *tokenizer, start_tokens, arguments);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  say("{} tokens after a prompt of {} in {:.1f} s ({:.0f} tok/s): {}", done.tokens, start_tokens.size() - 1,
      seconds.count(), static_cast<double>(done.tokens) / seconds.count(), done.reason);
}

}  // namespace

void add_generate_command(CLI::App& program) {
  const auto arguments = std::make_shared<GenerateArguments>();
  SamplingOptions& sampling = arguments->sampling;
  CLI::App& command = *program.add_subcommand("generate", "Continue a text");
  command
      .add_option("model", arguments->model,
                  "run directory (its newest valid checkpoint), checkpoint, or Hugging Face directory")
      ->required()
      ->type_name("MODEL");
  command.add_option("--prompt", arguments->prompt, "the beginning; \"\" starts a new text")
      ->required()
      ->type_name("TEXT");
  command.add_option("--max-tokens", arguments->max_tokens, "tokens generated at most")
      ->capture_default_str();
  command
      .add_option("--temperature", sampling.temperature,
                  "0: always the likeliest token; 1: as predicted; between: bolder the higher")
      ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "choose among the K likeliest; 0: all")
      ->capture_default_str();
  command
      .add_option("--top-p", sampling.top_p,
                  "choose among the likeliest that together have this probability; 1: all")
      ->capture_default_str();
  command.add_option("--seed", arguments->seed, "another seed, another text")->capture_default_str();
  command.footer(kExample);
  command.callback([arguments] {
    arguments->sampling.seed = static_cast<std::uint64_t>(arguments->seed);
    generate(*arguments);
  });
}

}  // namespace granule
