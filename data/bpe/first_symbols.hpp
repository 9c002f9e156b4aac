// The tokens that a word consists of before anything is merged.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/files/json_field.hpp"

namespace granule {

/// What a model has a token for: the bytes of a text, each as a character of byte-level BPE, or its
/// characters.
enum class Unit : std::uint8_t { byte, character };

/// It remembers characters, so only one thread may use it.
class FirstSymbols {
 public:
  /// Finds a token of the model by its spelling.
  using FindToken = std::function<std::optional<std::int32_t>(std::string_view)>;

  FirstSymbols() = default;
  /// `model` is that of the file. Throws a user error if there would be text without any token.
  FirstSymbols(const JsonField& model, Unit unit, const FindToken& find);

  /// Appends the tokens of a word, which is valid UTF-8 unless the unit is a byte.
  void append(std::string_view word, const FindToken& find, std::vector<std::int32_t>& symbols);

  [[nodiscard]] std::optional<std::int32_t> unknown_id() const { return unknown_; }
  /// Whether every character that has no token becomes bytes, so that nothing is unknown.
  [[nodiscard]] bool falls_back_to_bytes() const { return all_bytes_; }
  /// Whether the id stands for one byte of such a character ("<0x0A>").
  [[nodiscard]] bool is_byte(std::int32_t id) const { return byte_ids_.contains(id); }

 private:
  struct Symbols {
    enum class Kind : std::uint8_t { token, bytes, unknown };
    Kind kind = Kind::unknown;
    std::vector<std::int32_t> ids{};
  };
  [[nodiscard]] Symbols symbols_of(std::string_view character, const FindToken& find) const;
  const Symbols& of_character(std::string_view character, char32_t code_point, const FindToken& find);
  void read_fallback(const JsonField& model, const FindToken& find);
  void read_bytes(const JsonField& model, const FindToken& find);

  Unit unit_ = Unit::byte;
  bool fuses_unknown_ = false;  // adjacent unknown characters are one token
  bool all_bytes_ = false;
  std::optional<std::int32_t> unknown_;
  std::array<std::optional<std::int32_t>, 256> fallback_{};  // "<0x00>" to "<0xFF>", if they are used
  std::unordered_set<std::int32_t> byte_ids_;                // the ids in fallback_
  std::array<Symbols, 256> of_byte_{};
  std::unordered_map<char32_t, Symbols> of_character_;
};

}  // namespace granule
