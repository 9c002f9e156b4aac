// granule score: how likely a text is to a model, and which continuation of a prompt is likeliest.
#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/commands/commands.hpp"
#include "apps/inputs/whole_text.hpp"
#include "apps/models/running_model.hpp"
#include "apps/program/console.hpp"
#include "apps/program/progress.hpp"
#include "apps/program/usage.hpp"
#include "apps/scoring/score_answer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct ScoreArguments {
  fs::path model;
  std::optional<std::string> text;
  std::optional<fs::path> file, jsonl;
  bool logprobs = false;
};

constexpr const char* kExample =
    "Example:\n  granule score runs/tiny --text \"The white whale\" --logprobs\n"
    "  echo '{\"prompt\": \"The white\", \"continuations\": [\" whale\", \" house\"]}' | "
    "granule score runs/tiny --jsonl -";

/// Every line that is not empty. All of them are read before the first is scored, so a bad one costs nothing.
std::vector<ScoreQuestion> line_questions(Tokenizer& tokenizer, const fs::path& path) {
  const std::string lines = read_whole_text(path);
  std::vector<ScoreQuestion> questions;
  std::int64_t number = 0;
  for (std::string_view rest = lines; !rest.empty();) {
    const std::string_view line = take_line(rest);
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    questions.push_back(line_question(tokenizer, line, fmt::format("{}:{}", name_of_input(path), number)));
  }
  if (questions.empty()) user_error("there is no line to score", name_of_input(path), "give JSON Lines");
  return questions;
}

std::vector<ScoreQuestion> questions_of(const ScoreArguments& arguments, Tokenizer& tokenizer) {
  if (arguments.jsonl) return line_questions(tokenizer, *arguments.jsonl);
  if (arguments.text) {
    require_utf8(*arguments.text, "--text");
    return {text_question(tokenizer, *arguments.text, "--text")};
  }
  return {text_question(tokenizer, read_whole_text(*arguments.file), name_of_input(*arguments.file))};
}

std::int64_t longest_of(const std::vector<ScoreQuestion>& questions) {
  std::int64_t longest = 0;
  for (const ScoreQuestion& question : questions) {
    for (const ScoredText& text : question.texts) longest = std::max(longest, std::ssize(text.tokens));
  }
  return longest;
}

void score(const ScoreArguments& arguments) {
  if (int{arguments.text.has_value()} + int{arguments.file.has_value()} + int{arguments.jsonl.has_value()} !=
      1)
    throw UsageError("what to score must be given once", "give one of --text, --file and --jsonl");
  const ModelFiles files = open_model(arguments.model);
  const auto tokenizer = text_tokenizer(files);
  const std::vector<ScoreQuestion> questions = questions_of(arguments, *tokenizer);
  RunningModel running(files);
  TextScorer scorer(running.context(), running.model(), text_start(files, *tokenizer),
                    tokenizer->vocab_size(), longest_of(questions));
  Progress progress;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    print_json(score_answer(scorer, *tokenizer, questions[i],
                            arguments.logprobs ? TokenLogprobs::yes : TokenLogprobs::no));
    if (questions.size() > 1) progress.show(fmt::format("{} of {} lines", i + 1, questions.size()));
  }
}

}  // namespace

void add_score_command(CLI::App& program) {
  const auto arguments = std::make_shared<ScoreArguments>();
  CLI::App& command = *program.add_subcommand("score", "Say how likely a text is to a model.");
  command.add_option("model", arguments->model, kModelHelp)->required()->type_name("MODEL");
  command.add_option("--text", arguments->text, "The text to score.")->type_name("TEXT");
  command.add_option("--file", arguments->file, "A file with the text. - means stdin.")->type_name("FILE");
  command
      .add_option("--jsonl", arguments->jsonl,
                  "JSON Lines of {\"text\"} or {\"prompt\", \"continuations\"}. - means stdin. Each line is "
                  "answered with one.")
      ->type_name("FILE");
  command.add_flag("--logprobs", arguments->logprobs, "Print the log-probability of each token too.");
  command.footer(kExample);
  command.callback([arguments] { score(*arguments); });
}

}  // namespace granule
