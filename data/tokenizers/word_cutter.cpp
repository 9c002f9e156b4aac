#include "data/tokenizers/word_cutter.hpp"

#include "data/files/utf8.hpp"

namespace granule {
namespace {
char32_t same_space(char32_t c) {
  return c == U'\u2581' ? U' ' : c;
}
std::uint64_t pair_key(char32_t left, char32_t right) {
  return std::uint64_t{left} << 32 | right;
}
}  // namespace

void WordCutter::add_piece(std::string_view piece) {
  char32_t left = 0;
  for (std::size_t at = 0; at < piece.size();) {
    const Utf8Char c = utf8_char(piece, at);
    const char32_t right = same_space(c.code_point);
    if (at > 0 && left < kAscii && right < kAscii) ascii_.set(left * kAscii + right);
    if (at > 0 && (left >= kAscii || right >= kAscii)) other_.insert(pair_key(left, right));
    left = right;
    at += c.length;
  }
}

bool WordCutter::joins(char32_t left, char32_t right) const {
  left = same_space(left), right = same_space(right);
  if (left < kAscii && right < kAscii) return ascii_.test(left * kAscii + right);
  return other_.contains(pair_key(left, right));
}

void WordCutter::cut(std::string_view text, const std::function<void(std::string_view)>& take) const {
  std::size_t start = 0;
  char32_t left = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_char(text, at);
    if (at > 0 && !joins(left, c.code_point)) {
      take(text.substr(start, at - start));
      start = at;
    }
    left = c.code_point;
    at += c.length;
  }
  if (!text.empty()) take(text.substr(start));
}

}  // namespace granule
