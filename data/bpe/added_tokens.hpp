// The added tokens of a tokenizer.json. These strings become one id wherever they are in a text, before
// anything else looks at it.
#pragma once
#include <bitset>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/json_field.hpp"

namespace granule {

enum class Special : std::uint8_t { no, yes };  ///< special tokens do not appear in decoded text

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  Special special = Special::no;
  bool strips_left = false;   ///< takes the white space before it as well
  bool strips_right = false;  ///< takes the white space after it as well
  bool normalized = false;    ///< is searched for after the tokens that are not normalized
};

/// Finds some tokens in text, from left to right. If several begin at one place, the longest is found.
class TokenFinder {
 public:
  void add(const AddedToken& token);
  using TakeText = std::function<void(std::string_view)>;
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

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_{1};  // a tree of their bytes
  std::bitset<256> first_bytes_;
};

/// All added tokens of a file, in its order.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// `field` is the list. Throws a user error if it is malformed or not understood.
  explicit AddedTokens(const JsonField& field);

  [[nodiscard]] const std::vector<AddedToken>& all() const { return tokens_; }
  /// Does what TokenFinder::split does, for all of them.
  void split(std::string_view whole, const TokenFinder::TakeText& text,
             const TokenFinder::TakeToken& token) const;

 private:
  std::vector<AddedToken> tokens_;
  TokenFinder first_, second_;
};

}  // namespace granule
