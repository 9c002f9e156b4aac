#include "apps/scoring/score_answer.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace granule {
namespace {

using Json = nlohmann::ordered_json;

/// The figures of one text. Logarithms are natural, and ce is their mean in nats per token.
Json figures_of(const Tokenizer& tokenizer, const ScoredText& text, std::span<const TokenScore> scores,
                TokenLogprobs with_logprobs) {
  Json ids = Json::array(), pieces = Json::array(), logprobs = Json::array();
  double sum = 0.0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const std::int32_t id = text.tokens[text.from + i];
    ids.push_back(id);
    pieces.push_back(tokenizer.token_name(id));
    logprobs.push_back(scores[i].logprob);
    sum += scores[i].logprob;
  }
  const auto tokens = static_cast<double>(scores.size()), bytes = static_cast<double>(text.text.size());
  Json figures{{"tokens", scores.size()},
               {"bytes", text.text.size()},
               {"log_likelihood", sum},
               {"ce", -sum / tokens},
               {"perplexity", std::exp(-sum / tokens)},
               {"bits_per_byte", bytes > 0.0 ? Json(-sum / (std::numbers::ln2 * bytes)) : Json()},
               {"greedy", std::ranges::all_of(scores, &TokenScore::likeliest)},
               {"token_ids", std::move(ids)},
               {"pieces", std::move(pieces)}};
  if (with_logprobs == TokenLogprobs::yes) figures["logprobs"] = std::move(logprobs);
  return figures;
}

/// The index of the largest number. The first of equal ones counts.
std::size_t best_of(const std::vector<double>& values) {
  return static_cast<std::size_t>(std::ranges::max_element(values) - values.begin());
}

}  // namespace

Json score_answer(TextScorer& scorer, const Tokenizer& tokenizer, const ScoreQuestion& question,
                  TokenLogprobs logprobs) {
  Json answer = question.given.is_null() ? Json::object() : question.given;
  Json continuations = Json::array();
  std::vector<double> sums, per_byte;
  for (const ScoredText& text : question.texts) {
    const std::vector<TokenScore> scores = scorer.score(text.tokens, text.from);
    const Json figures = figures_of(tokenizer, text, scores, logprobs);
    if (!question.has_prompt) {
      answer.update(figures);
      return answer;
    }
    sums.push_back(figures["log_likelihood"].get<double>());
    per_byte.push_back(sums.back() / static_cast<double>(std::max<std::size_t>(text.text.size(), 1)));
    Json described{{"text", text.text}};
    described.update(figures);
    continuations.push_back(std::move(described));
  }
  answer["continuations"] = std::move(continuations);
  answer["likeliest"] = best_of(sums);
  answer["likeliest_per_byte"] = best_of(per_byte);
  return answer;
}

}  // namespace granule
