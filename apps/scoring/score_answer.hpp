// The JSON that answers a question of `granule score`.
#pragma once
#include <nlohmann/json.hpp>

#include "apps/scoring/score_question.hpp"
#include "apps/scoring/text_scorer.hpp"

namespace granule {

/// Whether the answer has the log-probability of each token.
enum class TokenLogprobs : bool { no, yes };

/// For a text: its figures, token ids and pieces. For continuations: a list of the same, and which of them is
/// likeliest, as a whole and per byte.
[[nodiscard]] nlohmann::ordered_json score_answer(TextScorer& scorer, const Tokenizer& tokenizer,
                                                  const ScoreQuestion& question, TokenLogprobs logprobs);

}  // namespace granule
