#include "data/bpe/first_symbols.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "data/bpe/splitting/byte_alphabet.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

bool in_utf8(std::size_t byte) {
  return byte < 0xC0 || (byte >= 0xC2 && byte <= 0xF4);
}

bool flag_or_no(const JsonField& field, const std::string& key) {
  return field.has(key) && field.at(key).flag();
}

}  // namespace

FirstSymbols::FirstSymbols(const JsonField& model, Unit unit, const FindToken& find)
    : unit_(unit), fuses_unknown_(flag_or_no(model, "fuse_unk")) {
  if (model.has("unk_token")) unknown_ = find(model.at("unk_token").text());
  if (flag_or_no(model, "byte_fallback")) read_fallback(model, find);
  if (unit == Unit::byte) read_bytes(model, find);
  if (unit == Unit::character && !all_bytes_ && !unknown_) {
    model.refuse(
        "has neither byte_fallback with a token for every byte nor an unk_token in its vocabulary, so that "
        "text could be lost");
  }
}

void FirstSymbols::read_fallback(const JsonField& model, const FindToken& find) {
  all_bytes_ = true;
  for (std::size_t byte = 0; byte < fallback_.size(); ++byte) {
    const auto id = fallback_.at(byte) = find(fmt::format("<0x{:02X}>", byte));
    if (id) byte_ids_.insert(*id);
    // A byte of ASCII is a character itself, which may have a token of its own, as Gemma's tab has.
    const bool is_token = byte < 0x80 && find(std::string(1, static_cast<char>(byte)));
    all_bytes_ = all_bytes_ && (id.has_value() || is_token || !in_utf8(byte));
  }
  if (byte_ids_.empty())
    model.at("byte_fallback").refuse("is true, but the vocabulary has no token for any byte (\"<0x0A>\")");
}

void FirstSymbols::read_bytes(const JsonField& model, const FindToken& find) {
  for (std::size_t byte = 0; byte < of_byte_.size(); ++byte) {
    const std::string& character = byte_characters().at(byte);
    of_byte_.at(byte) = symbols_of(character, find);
    if (of_byte_.at(byte).kind != Symbols::Kind::unknown || unknown_ || !in_utf8(byte)) continue;
    model.at("vocab").refuse(
        fmt::format("has no token for the byte {:02X} (\"{}\"), so that not every text could be encoded",
                    byte, character));
  }
}

FirstSymbols::Symbols FirstSymbols::symbols_of(std::string_view character, const FindToken& find) const {
  if (const auto id = find(character)) return {Symbols::Kind::token, {*id}};
  Symbols bytes{Symbols::Kind::bytes};
  for (const char byte : character) {
    const auto id = fallback_.at(static_cast<unsigned char>(byte));
    if (!id) return {};
    bytes.ids.push_back(*id);
  }
  return bytes;
}

const FirstSymbols::Symbols& FirstSymbols::of_character(std::string_view character, char32_t code_point,
                                                        const FindToken& find) {
  const auto known = of_character_.find(code_point);
  if (known != of_character_.end()) return known->second;
  return of_character_.emplace(code_point, symbols_of(character, find)).first->second;
}

void FirstSymbols::append(std::string_view word, const FindToken& find, std::vector<std::int32_t>& symbols) {
  // The library writes an unknown token only when a character with a token of its own follows, or at the end.
  bool waiting = false;
  const auto add = [&](const Symbols& next) {
    if (next.kind == Symbols::Kind::unknown) {
      if (waiting && !fuses_unknown_) symbols.push_back(*unknown_);
      waiting = unknown_.has_value();
      return;
    }
    if (next.kind == Symbols::Kind::token && std::exchange(waiting, false)) symbols.push_back(*unknown_);
    symbols.insert(symbols.end(), next.ids.begin(), next.ids.end());
  };
  if (unit_ == Unit::byte) {
    for (const char byte : word) add(of_byte_.at(static_cast<unsigned char>(byte)));
  } else {
    for (std::size_t at = 0; at < word.size();) {
      const Utf8Char c = utf8_char(word, at);
      add(of_character(word.substr(at, c.length), c.code_point, find));
      at += c.length;
    }
  }
  if (waiting) symbols.push_back(*unknown_);
}

}  // namespace granule
