#include "apps/scoring/score_question.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"
#include "data/files/json_field.hpp"
#include "data/files/strict_json.hpp"

namespace granule {
namespace {

constexpr const char* kAdvice = R"(give {"text": "…"} or {"prompt": "…", "continuations": ["…", "…"]})";

std::vector<std::int32_t> tokens_of(Tokenizer& tokenizer, std::string_view text, std::string_view where) {
  try {
    return tokenizer.encode(text);
  } catch (const EncodingError& error) {
    error.refuse(where);
  }
}

ScoredText continuation_of(Tokenizer& tokenizer, const std::string& prompt,
                           std::span<const std::int32_t> prompt_tokens, const JsonField& field) {
  ScoredText scored{field.text()};
  scored.tokens = tokens_of(tokenizer, prompt + scored.text, field.file());
  const auto differs = std::ranges::mismatch(scored.tokens, prompt_tokens).in1;
  scored.from = static_cast<std::size_t>(differs - scored.tokens.begin());
  if (scored.from == scored.tokens.size()) field.refuse("adds no token to the prompt");
  return scored;
}

}  // namespace

ScoreQuestion text_question(Tokenizer& tokenizer, std::string text, std::string_view where) {
  ScoredText scored{std::move(text)};
  scored.tokens = tokens_of(tokenizer, scored.text, where);
  if (scored.tokens.empty()) user_error("the text has no tokens", where, "give a text to score");
  return {.texts = {std::move(scored)}};
}

ScoreQuestion line_question(Tokenizer& tokenizer, std::string_view line, std::string_view where) {
  const nlohmann::json document = parse_json(line, where);
  if (!document.is_object()) user_error("the line is not a JSON object", where, kAdvice);
  const JsonField whole(document, std::string(where), kAdvice);
  ScoreQuestion question;
  if (whole.has("id")) question.given["id"] = whole.at("id").json();
  if (whole.has("text") == whole.has("prompt")) {
    user_error(whole.has("text") ? "the line has a \"text\" and a \"prompt\""
                                 : "the line has neither a \"text\" nor a \"prompt\"",
               where, kAdvice);
  }
  if (whole.has("text")) {
    question.texts = text_question(tokenizer, whole.at("text").text(), where).texts;
    return question;
  }
  const std::string prompt = whole.at("prompt").text();
  const std::vector<std::int32_t> prompt_tokens = tokens_of(tokenizer, prompt, where);
  const JsonField continuations = whole.at("continuations");
  const std::size_t count = continuations.list_size();
  if (count == 0) continuations.refuse("is empty");
  question.has_prompt = true;
  question.given["prompt"] = prompt;
  for (std::size_t i = 0; i < count; ++i)
    question.texts.push_back(continuation_of(tokenizer, prompt, prompt_tokens, continuations.element(i)));
  return question;
}

}  // namespace granule
