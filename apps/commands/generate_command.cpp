// granule generate: continues a prompt with text.
#include <chrono>
#include <cmath>

#include "apps/commands/commands.hpp"
#include "apps/generation/generation.hpp"
#include "apps/generation/token_sampler.hpp"
#include "apps/models/model_files.hpp"
#include "apps/program/console.hpp"
#include "core/error.hpp"
#include "data/open_tokenizer.hpp"

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
    refuse("--temperature", sampling.temperature,
           "give 0 or more: 0 takes the likeliest token, 1 samples as predicted");
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

/// What the model sees before its own text. In training, a document follows the end of the previous one and
/// sees that end. If attention stays inside documents, it sees only the token that starts a text.
struct Beginning {
  std::vector<std::int32_t> tokens;
  /// How many of the tokens are the prompt. It is at the end.
  std::int64_t prompt = 0;
  bool forgotten = false;  ///< the first generated token does not see them
};

/// `bos` is the token that documents begin with, if they do. Then it is the only token before a text, as in
/// other programs.
Beginning beginning_of(Tokenizer& tokenizer, const std::string& prompt, bool document_mask,
                       std::optional<std::int32_t> bos) {
  if (first_invalid_utf8(prompt)) user_error("the prompt is not UTF-8", "--prompt", "convert it to UTF-8");
  Beginning beginning{tokenizer.encode(prompt)};
  beginning.prompt = std::ssize(beginning.tokens);
  beginning.forgotten = document_mask && beginning.prompt == 0 && !bos;
  if (bos || !document_mask || beginning.prompt == 0)
    beginning.tokens.insert(beginning.tokens.begin(), bos.value_or(*tokenizer.eos_id()));
  return beginning;
}

struct Generated {
  std::int64_t tokens = 0;
  std::string reason;
};

/// Prints the text while it grows, and returns why it ended.
Generated generate_text(Decoder& decoder, const Tokenizer& tokenizer, const Beginning& beginning,
                        const GenerateArguments& arguments) {
  TokenSampler sampler(arguments.sampling);
  TextStream text(tokenizer, beginning.prompt == 0 ? TextPosition::document_start : TextPosition::inside);
  std::vector<std::int32_t> next = beginning.tokens;
  Generated done;
  while (true) {
    const std::vector<double> logits = decoder.feed(next);
    // Rows that pad the vocabulary have no token.
    const std::int32_t token =
        sampler.choose(std::span(logits).first(static_cast<std::size_t>(tokenizer.vocab_size())));
    if (token == tokenizer.eos_id()) {
      done.reason = "the text ended";
      break;
    }
    if (beginning.forgotten && done.tokens == 0) decoder.forget();
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
  RunConfig config = files.config();
  const Beginning beginning =
      beginning_of(*tokenizer, arguments.prompt, config.data.document_mask, files.bos_of_documents());
  const std::int64_t positions = config.model.positions(), before = std::ssize(beginning.tokens);
  if (before > positions) {
    user_error(fmt::format("the prompt has {} tokens{}, and the model knows {} positions", beginning.prompt,
                           before > beginning.prompt ? ", one token comes before it" : "", positions),
               "--prompt", "shorten it");
  }
  config.train.threads = 0;  // the machine that it was trained on may have had others
  Context context(context_options(config, thread_count(config)));
  const auto model = files.load(context, config, config.train.dtype, Gradients::no);
  const std::int64_t wanted = before + std::min(arguments.max_tokens, positions);
  Decoder decoder(context, *model, std::min(positions, wanted));
  const auto start = std::chrono::steady_clock::now();
  const Generated done = generate_text(decoder, *tokenizer, beginning, arguments);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  say("{} tokens after a prompt of {} in {:.1f} s ({:.0f} tok/s): {}", done.tokens, beginning.prompt,
      seconds.count(), static_cast<double>(done.tokens) / seconds.count(), done.reason);
}

}  // namespace

void add_generate_command(CLI::App& program) {
  const auto arguments = std::make_shared<GenerateArguments>();
  SamplingOptions& sampling = arguments->sampling;
  CLI::App& command = *program.add_subcommand("generate", "Continue a text.");
  command.add_option("model", arguments->model, kModelHelp)->required()->type_name("MODEL");
  command.add_option("--prompt", arguments->prompt, "The beginning of the text. \"\" starts a new text.")
      ->required()
      ->type_name("TEXT");
  command.add_option("--max-tokens", arguments->max_tokens, "Generate at most this many tokens.")
      ->capture_default_str();
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
      .add_option("--seed", arguments->seed, "The same seed gives the same text, another seed another text.")
      ->capture_default_str();
  command.footer(kExample);
  command.callback([arguments] {
    arguments->sampling.seed = static_cast<std::uint64_t>(arguments->seed);
    generate(*arguments);
  });
}

}  // namespace granule
