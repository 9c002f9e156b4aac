#include "data/bpe/normalizers/unicode_text.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include <utf8proc.h>

#include "core/error.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

struct Free {
  void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); }
};

utf8proc_option_t options_of(NormalForm form) {
  const bool composed = form == NormalForm::nfc || form == NormalForm::nfkc;
  const bool compatible = form == NormalForm::nfkc || form == NormalForm::nfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | (composed ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}

// No form changes ASCII, and NFC changes nothing below U+0300, whose first byte is CC.
bool is_in_form(std::string_view text, NormalForm form) {
  const unsigned first = form == NormalForm::nfc ? 0xCC : 0x80;
  return std::ranges::all_of(text, [&](char c) { return static_cast<unsigned char>(c) < first; });
}

void append(std::string& text, char32_t c) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

template <class Visit>
void each_character(std::string_view text, Visit&& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_char(text, at);
    visit(c.code_point, text.substr(at, c.length));
    at += c.length;
  }
}

bool is_mark(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

bool is_word_character(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      // The alphabetic symbols and the two joiners.
      return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
             (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
  }
}

// Where the last character of a text that is not empty begins.
std::size_t last_character(std::string_view text) {
  std::size_t start = text.size() - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80) --start;
  return start;
}

constexpr char32_t kCapitalIWithDot = 0x130;  // its small letter is i with a combining dot

}  // namespace

std::string in_normal_form(std::string_view text, NormalForm form) {
  if (is_in_form(text, form)) return std::string(text);
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &made, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, Free> owned(made);
  GRANULE_CHECK(size >= 0, "utf8proc cannot normalize {} bytes: {}", text.size(), utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(made), static_cast<std::size_t>(size)};
}

std::string in_small_letters(std::string_view text) {
  std::string small;
  small.reserve(text.size());
  each_character(text, [&](char32_t c, std::string_view) {
    append(small, c == kCapitalIWithDot
                      ? U'i'
                      : static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
    if (c == kCapitalIWithDot) small += "\u0307";
  });
  return small;
}

std::string without_marks(std::string_view text) {
  std::string rest;
  rest.reserve(text.size());
  each_character(text, [&](char32_t c, std::string_view bytes) {
    if (!is_mark(c)) rest += bytes;
  });
  return rest;
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::size_t white_space_at_start(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Char c = utf8_char(text, at);
    if (!is_white_space(c.code_point)) break;
    at += c.length;
  }
  return at;
}

std::size_t white_space_at_end(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0) {
    const std::size_t start = last_character(text.substr(0, at));
    if (!is_white_space(utf8_char(text, start).code_point)) break;
    at = start;
  }
  return text.size() - at;
}

bool starts_with_word_character(std::string_view text) {
  return !text.empty() && is_word_character(utf8_char(text, 0).code_point);
}

bool ends_with_word_character(std::string_view text) {
  return !text.empty() && is_word_character(utf8_char(text, last_character(text)).code_point);
}

}  // namespace granule
