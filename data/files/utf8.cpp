#include "data/files/utf8.hpp"

#include <cstring>

namespace granule {
namespace {

struct Lead {
  std::size_t length;
  char32_t bits, smallest;  // smallest: the smallest code point that needs this length
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, byte, 0};
  if (byte >= 0xC2 && byte < 0xE0) return {2, byte & 0x1FU, 0x80};
  if (byte >= 0xE0 && byte < 0xF0) return {3, byte & 0x0FU, 0x800};
  if (byte >= 0xF0 && byte < 0xF5) return {4, byte & 0x07U, 0x10000};
  return {0, 0, 0};
}

bool could_be_valid(char32_t code_point, char32_t smallest) {
  return code_point >= smallest && code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
}

bool eight_ascii(const char* data) {
  std::uint64_t word = 0;
  std::memcpy(&word, data, sizeof word);
  return (word & 0x8080808080808080U) == 0;
}

}  // namespace

Utf8Char utf8_char(std::string_view text, std::size_t at) {
  const Lead lead = lead_of(static_cast<unsigned char>(text[at]));
  if (lead.length <= 1) return {lead.bits, 1, lead.length == 1 ? Utf8Status::complete : Utf8Status::invalid};
  char32_t code_point = lead.bits;
  std::size_t i = 1;
  for (; i < lead.length && at + i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[at + i]);
    if ((byte & 0xC0U) != 0x80) return {0, 1, Utf8Status::invalid};
    code_point = code_point << 6 | (byte & 0x3FU);
  }
  if (i == lead.length) {
    const bool valid = could_be_valid(code_point, lead.smallest);
    return {code_point, valid ? lead.length : 1, valid ? Utf8Status::complete : Utf8Status::invalid};
  }
  // The text is cut off. It is valid so far only if some continuation makes it valid. The largest one
  // decides, except for surrogates.
  const auto missing = static_cast<unsigned>(6 * (lead.length - i));
  const char32_t low = code_point << missing, high = low | ((char32_t{1} << missing) - 1);
  const bool hopeless = high < lead.smallest || low > 0x10FFFF || (low >= 0xD800 && high <= 0xDFFF);
  return {0, 1, hopeless ? Utf8Status::invalid : Utf8Status::cut_off};
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size() && eight_ascii(text.data() + at)) {
      at += 8;
      continue;
    }
    const Utf8Char c = utf8_char(text, at);
    if (c.status != Utf8Status::complete) return at;
    at += c.length;
  }
  return std::nullopt;
}

std::string Utf8Stream::add(std::string_view bytes) {
  pending_ += bytes;
  std::string whole;
  std::size_t at = 0;
  while (at < pending_.size()) {
    const Utf8Char c = utf8_char(pending_, at);
    if (c.status == Utf8Status::cut_off) break;
    if (c.status == Utf8Status::invalid) {
      whole += "\uFFFD";
    } else {
      whole.append(pending_, at, c.length);
    }
    at += c.length;
  }
  pending_.erase(0, at);
  return whole;
}

std::string Utf8Stream::finish() {
  std::string rest;
  for (std::size_t i = 0; i < pending_.size(); ++i) rest += "\uFFFD";
  pending_.clear();
  return rest;
}

}  // namespace granule
