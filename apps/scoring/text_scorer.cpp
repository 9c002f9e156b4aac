#include "apps/scoring/text_scorer.hpp"

#include <algorithm>
#include <cmath>

#include "apps/models/running_model.hpp"
#include "core/error.hpp"

namespace granule {

TextScorer::TextScorer(Context& context, const Model& model, TextStart start, std::int64_t pieces,
                       std::int64_t longest)
    : start_(start),
      pieces_(pieces),
      decoder_(context, model, std::min(model.config().positions(), std::max<std::int64_t>(longest, 1))) {}

TokenScore TextScorer::score_of(std::span<const double> logits, std::int32_t token) const {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0.0;
  for (const double logit : logits) sum += std::exp(logit - largest);
  const double logprob = logits[static_cast<std::size_t>(token)] - largest - std::log(sum);
  // In float64, finite logits may be too far apart.
  if (!std::isfinite(logprob)) user_error("a text has no probability", "the model", kNotFiniteAdvice);
  // Rows that pad the vocabulary have no token, so greedy decoding does not choose them.
  const auto tokens = logits.first(static_cast<std::size_t>(pieces_));
  return {logprob, std::ranges::max_element(tokens) - tokens.begin() == token};
}

std::vector<TokenScore> TextScorer::score(std::span<const std::int32_t> tokens, std::size_t from) {
  GRANULE_CHECK(from < tokens.size(), "scores from token {} on, of {}", from, tokens.size());
  std::vector<TokenScore> scores;
  std::vector<std::int32_t> sequence;
  if (!start_.seen_once) sequence.push_back(start_.token);
  if (start_.seen_once && from == 0) feed({&start_.token, 1}, 0, tokens.first(1), scores);
  sequence.insert(sequence.end(), tokens.begin(), tokens.end());
  // sequence[i] is predicted from what is before it, so its first element is not.
  const std::size_t before = sequence.size() - tokens.size();
  score_rest(sequence, std::max<std::size_t>(from + before, 1), scores);
  return scores;
}

void TextScorer::score_rest(std::span<const std::int32_t> sequence, std::size_t from,
                            std::vector<TokenScore>& scores) {
  const auto positions = static_cast<std::size_t>(decoder_.capacity());
  // Of a text before the scored tokens, as much is seen as fits together with them, but at least half a
  // window.
  const std::size_t half = (positions + 1) / 2, rows = sequence.size() - 1;
  std::size_t begin = rows > positions && from > half ? std::min(rows - positions, from - half) : 0;
  while (from < sequence.size()) {
    // The window must hold at least what the next token is predicted from.
    if (from - begin > positions) begin = from - half;
    const std::size_t end = std::min(begin + positions, sequence.size() - 1);
    feed(sequence.subspan(begin, end - begin), from - begin - 1, sequence.subspan(begin + 1), scores);
    from = end + 1;
  }
}

void TextScorer::feed(std::span<const std::int32_t> tokens, std::size_t from,
                      std::span<const std::int32_t> targets, std::vector<TokenScore>& scores) {
  const auto common = std::ranges::mismatch(tokens.first(std::min(from, tokens.size())), seen_).in1;
  const auto known = static_cast<std::size_t>(common - tokens.begin());
  decoder_.rewind(static_cast<std::int64_t>(known));
  // What comes before is fed alone. So equal continuations of a prompt are computed alike, to the last bit.
  if (known < from) decoder_.feed(tokens.first(from).subspan(known), from - known, {});
  std::size_t next = from;
  decoder_.feed(tokens.subspan(from), 0,
                [&](std::span<const double> logits) { scores.push_back(score_of(logits, targets[next++])); });
  seen_.assign(tokens.begin(), tokens.end());
}

}  // namespace granule
