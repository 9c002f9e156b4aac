#include "apps/specialisation/token_class.hpp"

#include "tests/support/catch.hpp"

using namespace granule;

namespace granule {
std::ostream& operator<<(std::ostream& out, TokenClass kind) {
  return out << kTokenClassNames[static_cast<std::size_t>(kind)];
}
}  // namespace granule

TEST_CASE("token_class: letters of any script are words, which start where white space is before them") {
  TokenClassifier classify;
  for (const char* const text :
       {" the", " The", " whale’s", "\nCall", " été", " слово", " 鯨", "\u00a0x", " x1"})
    CHECK(classify(text) == TokenClass::word_start);
  for (const char* const text : {"ing", "é", "слово", "鯨", "ß", "'s", "(the", "n't", "x1", "\u093e"})
    CHECK(classify(text) == TokenClass::word_part);
}

TEST_CASE("token_class: numbers, signs and white space are told apart, and the rest is other") {
  TokenClassifier classify;
  for (const char* const text : {"7", " 1851", "1,000", "-3", "½", "٣", "Ⅷ"})
    CHECK(classify(text) == TokenClass::number);
  for (const char* const text : {".", " —", "”", "+", " $", "。", "..."})
    CHECK(classify(text) == TokenClass::punctuation);
  for (const char* const text : {" ", "\n", "\n\n", "\t ", "\u3000"})
    CHECK(classify(text) == TokenClass::whitespace);
  for (const char* const text : {"", "\xe2", "\xe2\x80", "\x01", " \x7f", "\xffthe"})
    CHECK(classify(text) == TokenClass::other);
}
