#include "apps/specialisation/token_class.hpp"

#include <nlohmann/json.hpp>

#include "data/files/utf8.hpp"

namespace granule {
namespace {

SplitPattern pattern_of(std::string_view pattern) {
  const nlohmann::json none;
  return {pattern, SplitPattern::Kind::regex, JsonField(none, "token classes", "this is a bug")};
}

}  // namespace

TokenClassifier::TokenClassifier()
    : space_(pattern_of(R"(\s+)")),
      letter_(pattern_of(R"([\p{L}\p{M}])")),
      number_(pattern_of(R"(\p{N})")),
      sign_(pattern_of(R"([\p{P}\p{S}])")) {}

TokenClass TokenClassifier::operator()(std::string_view text) {
  if (text.empty() || first_invalid_utf8(text)) return TokenClass::other;
  const auto space = space_.find(text, 0);
  const bool begins = space && space->begin == 0;
  if (begins && space->end == text.size()) return TokenClass::whitespace;
  if (letter_.find(text, 0)) return begins ? TokenClass::word_start : TokenClass::word_part;
  if (number_.find(text, 0)) return TokenClass::number;
  return sign_.find(text, 0) ? TokenClass::punctuation : TokenClass::other;
}

}  // namespace granule
