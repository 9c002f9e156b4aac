#include "data/bpe/token_decoder.hpp"

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "data/bpe/splitting/byte_alphabet.hpp"

namespace granule {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// "<0x0A>" is a line end.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned byte = 0;
  const char* const end = token.data() + 5;
  const auto [stop, error] = std::from_chars(token.data() + 3, end, byte, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

TokenDecoder::TokenDecoder(const JsonField& file, Unit unit) {
  if (file.has("decoder")) {
    read(file.at("decoder"));
  } else {
    byte_level_ = unit == Unit::byte;
  }
}

// The library gives tokens from one decoder to the next, and Fuse makes one text of them. Here a token has to
// become bytes without the others.
void TokenDecoder::require(Order next, const JsonField& field) {
  if (next < order_)
    field.refuse(fmt::format("is {} after another decoder, in an order that is not known here",
                             field.at("type").text()));
  order_ = next;
}

void TokenDecoder::read(const JsonField& field) {
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    const JsonField all = field.at("decoders");
    for (std::size_t i = 0; i < all.list_size(); ++i) read(all.element(i));
  } else if (type == "ByteLevel") {
    require(Order::tokens, field);
    byte_level_ = true;
    order_ = Order::text;
  } else if (type == "Replace") {
    read_replace(field);
  } else if (type == "ByteFallback") {
    require(Order::bytes, field);
    byte_fallback_ = true;
  } else if (type == "Fuse") {
    require(byte_fallback_ ? Order::bytes : Order::tokens, field);
    order_ = Order::text;
  } else if (type == "Strip") {
    read_strip(field);
  } else if (type == "Metaspace") {
    read_metaspace(field);
  } else {
    field.at("type").refuse(fmt::format("is {}, which is not known here", type));
  }
}

void TokenDecoder::read_replace(const JsonField& field) {
  require(Order::tokens, field);
  const JsonField pattern = field.at("pattern"), text = pattern.at("String");
  if (text.text().empty()) text.refuse("is empty");
  replacements_.emplace_back(text.text(), field.at("content").text());
}

void TokenDecoder::read_strip(const JsonField& field) {
  require(Order::text, field);
  const JsonField start = field.at("start"), stop = field.at("stop");
  if (start.count() > 1) start.refuse("is more than 1, which is not known here");
  if (stop.count() > 0) stop.refuse("is more than 0, which is not known here");
  if (start.count() == 0) return;
  if (field.at("content").text().empty()) field.at("content").refuse("is empty");
  at_start_ = AtStart::drop_one;
  dropped_ = field.at("content").text();
}

void TokenDecoder::read_metaspace(const JsonField& field) {
  require(Order::tokens, field);
  if (field.at("replacement").text().empty()) field.at("replacement").refuse("is empty");
  replacements_.emplace_back(field.at("replacement").text(), " ");
  const bool never = field.has("prepend_scheme") && field.at("prepend_scheme").text() == "never";
  if (never) return;
  at_start_ = AtStart::drop_all;
  dropped_ = field.at("replacement").text();
}

std::string TokenDecoder::bytes_of(const std::string& token) const {
  if (byte_level_) return bytes_of_token(token).value_or(token);
  std::string text = token;
  for (const auto& [from, to] : replacements_) replace_all(text, from, to);
  const auto byte = byte_fallback_ ? byte_of(text) : std::nullopt;
  return byte ? std::string{*byte} : text;
}

std::string TokenDecoder::first_bytes_of(const std::string& token) const {
  if (at_start_ == AtStart::drop_all) {
    std::string rest = token;
    replace_all(rest, dropped_, "");
    return bytes_of(rest);
  }
  std::string text = bytes_of(token);
  if (at_start_ == AtStart::drop_one && text.starts_with(dropped_)) text.erase(0, dropped_.size());
  return text;
}

}  // namespace granule
