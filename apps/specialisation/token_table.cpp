#include "apps/specialisation/token_table.hpp"

namespace granule {
namespace {

std::string piece_of(const Tokenizer& tokenizer, std::int32_t id, const std::string& text) {
  if (text.empty() || first_invalid_utf8(text) || id == tokenizer.unknown_id())
    return tokenizer.token_name(id);
  std::string piece;
  for (const char c : text) c == ' ' ? piece.append("\u2581") : piece.append(1, c);
  return piece;
}

}  // namespace

TokenTable::TokenTable(const Tokenizer& tokenizer) {
  TokenClassifier classify;
  for (std::int64_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<std::int32_t>(i);
    const std::string text = tokenizer.token_bytes(id);
    pieces_.push_back(piece_of(tokenizer, id, text));
    classes_.push_back(id == tokenizer.unknown_id() ? TokenClass::other : classify(text));
  }
}

std::optional<std::string> TokenTable::piece(std::int64_t id) const {
  if (id >= std::ssize(pieces_)) return std::nullopt;
  return pieces_[static_cast<std::size_t>(id)];
}

TokenClass TokenTable::class_of(std::int64_t id) const {
  return id < std::ssize(classes_) ? classes_[static_cast<std::size_t>(id)] : TokenClass::other;
}

}  // namespace granule
