// What `granule score` is asked: a text, or how likely each of several continuations of a prompt is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// A text whose tokens from `from` on are scored.
struct ScoredText {
  std::string text{};  ///< what is scored, without the prompt
  std::vector<std::int32_t> tokens{};
  std::size_t from = 0;
};

struct ScoreQuestion {
  bool has_prompt = false;
  nlohmann::ordered_json given{};   ///< what the answer repeats: the line's id, and its prompt
  std::vector<ScoredText> texts{};  ///< the only one, or one for each continuation
};

/// A text without a prompt. Throws a user error that names `where` if it has no tokens.
[[nodiscard]] ScoreQuestion text_question(Tokenizer& tokenizer, std::string text, std::string_view where);

/// A line {"text": …} or {"prompt": …, "continuations": [ … ]}. An "id" may be added, and other keys are left
/// alone. Throws a user error that names `where`.
///
/// Prompt and continuation are encoded together. The continuation begins with the first token that differs
/// from those of the prompt alone. So if the last token of the prompt takes in what follows, it is scored
/// too.
[[nodiscard]] ScoreQuestion line_question(Tokenizer& tokenizer, std::string_view line,
                                          std::string_view where);

}  // namespace granule
