// The model of a tokenizer.json: every token with its id, and the merges. It turns words into ids and
// remembers none.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/bpe/added_tokens.hpp"
#include "data/bpe/first_symbols.hpp"
#include "data/bpe/merges.hpp"
#include "data/files/json_field.hpp"

namespace granule {

class Vocabulary {
 public:
  /// `file` is the whole file, and `added` is what its added_tokens contain. Throws a user error for a model
  /// that is not BPE, merges that name no tokens, and text that would have no token. Added tokens must not
  /// contradict the model, and their ids must be those of the reference library.
  Vocabulary(const JsonField& file, const std::vector<AddedToken>& added, Unit unit);

  /// 1 + the largest id.
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }
  /// The token as the file spells it. Empty for an id that the file does not have.
  [[nodiscard]] const std::string& token(std::int32_t id) const {
    return tokens_.at(static_cast<std::size_t>(id));
  }
  /// Finds a token of the model or an added one.
  [[nodiscard]] std::optional<std::int32_t> find(std::string_view token) const;
  [[nodiscard]] std::optional<std::int32_t> find_in_model(std::string_view token) const;
  [[nodiscard]] const FirstSymbols& first_symbols() const { return first_symbols_; }
  [[nodiscard]] const Merges& merges() const { return merges_; }
  /// Appends the tokens of one word. If the unit is a byte, it may have any bytes.
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids);
  /// Whether a word may be cut where no token has the characters of both sides next to each other.
  [[nodiscard]] bool allows_cutting() const;

 private:
  void read_settings(const JsonField& model);
  void read_tokens(const JsonField& model);
  void read_merges(const JsonField& merges);
  void read_added(const JsonField& file, const std::vector<AddedToken>& added);
  void put(const std::string& token, std::int64_t id, const JsonField& field);
  void add_merge(const std::string& left, const std::string& right, std::size_t rank,
                 const JsonField& merges);
  [[nodiscard]] bool is_whole(std::string_view word, std::vector<std::int32_t>& ids) const;
  [[nodiscard]] FirstSymbols::FindToken finder() const;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Ids = std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>>;

  std::vector<std::string> tokens_;
  Ids ids_;        // of the model's tokens
  Ids added_ids_;  // of added tokens that the model does not have
  Unit unit_ = Unit::byte;
  FirstSymbols first_symbols_;
  Merges merges_;
  bool whole_words_first_ = false;     // ignore_merges
  std::vector<std::int32_t> symbols_;  // of the current word
};

}  // namespace granule
