// What the ids of a vocabulary are to a reader: their pieces and their classes.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/specialisation/token_class.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

class TokenTable {
 public:
  /// Of a vocabulary without a tokenizer. Nothing is known of its ids.
  TokenTable() = default;
  explicit TokenTable(const Tokenizer& tokenizer);

  [[nodiscard]] bool known() const { return !classes_.empty(); }
  /// The text of a token with ▁ for its spaces, as SentencePiece writes it. If a token has no text of its
  /// own, it is the tokenizer's name for it, such as </s> or <0xE2>. Absent for an id beyond the tokenizer's.
  [[nodiscard]] std::optional<std::string> piece(std::int64_t id) const;
  /// TokenClass::other for an id beyond the tokenizer's.
  [[nodiscard]] TokenClass class_of(std::int64_t id) const;

 private:
  std::vector<std::string> pieces_;
  std::vector<TokenClass> classes_;
};

}  // namespace granule
