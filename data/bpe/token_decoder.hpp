// The decoder of a tokenizer.json: how tokens become text again.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/bpe/first_symbols.hpp"
#include "data/files/json_field.hpp"

namespace granule {

/// ByteLevel, Metaspace, or a Sequence of Replace, ByteFallback, Fuse and Strip.
class TokenDecoder {
 public:
  /// Without a decoder in the file, tokens of bytes are decoded as ByteLevel does, and others stay as they
  /// are. Throws a user error that names the field for what is not understood.
  TokenDecoder(const JsonField& file, Unit unit);

  /// The bytes of a token inside a text.
  [[nodiscard]] std::string bytes_of(const std::string& token) const;
  /// The bytes of the first token of a text that has any.
  [[nodiscard]] std::string first_bytes_of(const std::string& token) const;

 private:
  void read(const JsonField& field);
  void read_replace(const JsonField& field);
  void read_strip(const JsonField& field);
  void read_metaspace(const JsonField& field);
  enum class Order : std::uint8_t { tokens, bytes, text };
  void require(Order next, const JsonField& field);

  enum class AtStart : std::uint8_t { keep, drop_one, drop_all };  // drops `dropped_`

  bool byte_level_ = false;
  bool byte_fallback_ = false;
  std::vector<std::pair<std::string, std::string>> replacements_;
  AtStart at_start_ = AtStart::keep;
  std::string dropped_;
  Order order_ = Order::tokens;  // what the next decoder of the file gets
};

}  // namespace granule
