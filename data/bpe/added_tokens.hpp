// The added tokens of a tokenizer.json. These strings become one id wherever they are in a text, before a
// pre-tokenizer looks at it.
#pragma once
#include <bitset>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe/normalizers/normalizer.hpp"
#include "data/files/json_field.hpp"

namespace granule {

enum class Special : std::uint8_t { no, yes };  ///< special tokens do not appear in decoded text

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  Special special = Special::no;
  bool strips_left = false;   ///< takes the white space before it as well
  bool strips_right = false;  ///< takes the white space after it as well
  bool normalized = false;    ///< is searched for in normalized text, in its normalized spelling
  bool single_word = false;   ///< counts only where no letter, mark, digit or _ is next to it
  std::string spelling{};     ///< what is searched for in a text, and decoded
};

/// Finds some tokens in text, from left to right. If several begin at one place, the longest is found.
class TokenFinder {
 public:
  /// Of two tokens with the same spelling, the first one is found. The library finds either, by chance.
  void add(const AddedToken& token);
  using TakeText = std::function<void(std::size_t begin, std::size_t end)>;
  using TakeToken = std::function<void(const AddedToken&)>;
  /// Calls `text` for what is between the tokens (never empty) and `token` for each of them, in order.
  void split(std::string_view whole, const TakeText& text, const TakeToken& token) const;

 private:
  struct Node {
    std::map<char, std::size_t> next;
    std::int64_t token = -1;
  };
  struct Found {
    std::size_t begin = 0;
    std::size_t end = 0;
    const AddedToken* token = nullptr;  // null: there are no more
  };
  [[nodiscard]] Found find(std::string_view text, std::size_t from) const;

  [[nodiscard]] bool stands_alone(const Found& found, std::string_view text) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_{1};  // a tree of the bytes of their spellings
  std::bitset<256> first_bytes_;
};

/// All added tokens of a file, in its order.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// `field` is the list. Throws a user error if it is malformed or not understood.
  AddedTokens(const JsonField& field, Normalizer& normalizer);

  [[nodiscard]] const std::vector<AddedToken>& all() const { return tokens_; }
  using TakeText = std::function<void(std::string_view text, bool starts_document)>;
  /// Calls `text` for each part between the tokens, normalized and not empty, and `token` for each of them,
  /// in order.
  void split(std::string_view whole, Normalizer& normalizer, const TakeText& text,
             const TokenFinder::TakeToken& token) const;

 private:
  std::vector<AddedToken> tokens_;
  TokenFinder in_text_, in_normalized_;
};

}  // namespace granule
