// What kind of text a token is, by its characters alone.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "data/bpe/splitting/split_pattern.hpp"

namespace granule {

/// word_start: letters after white space. word_part: letters without it. A word at the beginning of a text or
/// after a quotation mark may be a word_part, because its token does not show where it is. other: control
/// tokens, the unknown token, and bytes that are only a part of a character.
enum class TokenClass : std::uint8_t { word_start, word_part, number, punctuation, whitespace, other };
inline constexpr std::array<std::string_view, 6> kTokenClassNames{"word start",  "word part",  "number",
                                                                  "punctuation", "whitespace", "other"};

/// Classes are found by Unicode's properties: letters and marks of any script, numbers, punctuation and
/// symbols, and white space. If a token has several of them, the first of this list decides.
class TokenClassifier {
 public:
  TokenClassifier();
  /// The class of a token with this text (Tokenizer::token_bytes).
  [[nodiscard]] TokenClass operator()(std::string_view text);

 private:
  SplitPattern space_, letter_, number_, sign_;
};

}  // namespace granule
