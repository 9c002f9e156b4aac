#include "data/bpe/splitting/byte_alphabet.hpp"

#include <cstdint>

#include "data/files/utf8.hpp"

namespace granule {
namespace {

constexpr int kFirstSubstitute = 0x100;
constexpr int kSubstitutes = 68;

// Only for code points up to U+07FF; the alphabet has no others.
std::string utf8_of(int code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

// From code point to byte, or -1 if there is none.
using Bytes = std::array<std::int16_t, kFirstSubstitute + kSubstitutes>;

Bytes make_bytes() {
  Bytes bytes{};
  bytes.fill(-1);
  std::size_t substitute = kFirstSubstitute;
  for (int byte = 0; byte < 256; ++byte) {
    const std::size_t place = stands_for_itself(byte) ? static_cast<std::size_t>(byte) : substitute++;
    bytes.at(place) = static_cast<std::int16_t>(byte);
  }
  return bytes;
}

const Bytes& bytes_by_character() {
  static const Bytes bytes = make_bytes();
  return bytes;
}

}  // namespace

const std::array<std::string, 256>& byte_characters() {
  static const std::array<std::string, 256> characters = [] {
    std::array<std::string, 256> all;
    const Bytes& bytes = bytes_by_character();
    for (std::size_t point = 0; point < bytes.size(); ++point) {
      if (bytes.at(point) >= 0)
        all.at(static_cast<std::size_t>(bytes.at(point))) = utf8_of(static_cast<int>(point));
    }
    return all;
  }();
  return characters;
}

std::optional<std::string> bytes_of_token(std::string_view token) {
  const Bytes& bytes = bytes_by_character();
  std::string text;
  for (std::size_t at = 0; at < token.size();) {
    const Utf8Char c = utf8_char(token, at);
    if (c.status != Utf8Status::complete || c.code_point >= bytes.size() || bytes.at(c.code_point) < 0)
      return std::nullopt;
    text += static_cast<char>(bytes.at(c.code_point));
    at += c.length;
  }
  return text;
}

}  // namespace granule
