#include "data/files/utf8.hpp"

#include "tests/support/catch.hpp"

namespace granule {
namespace {

using namespace std::string_view_literals;

TEST_CASE("utf8: valid UTF-8 of every length is accepted") {
  const std::string_view text = "a\u00e9\u2581\U0001F40B\u0000z\U0010FFFF\uFFFD"sv;
  CHECK_FALSE(first_invalid_utf8(text).has_value());
  CHECK(utf8_char(text, 1).code_point == U'\u00e9');
  CHECK(utf8_char(text, 3).code_point == U'\u2581');
  CHECK(utf8_char(text, 6).code_point == U'\U0001F40B');
  CHECK(utf8_char(text, 6).length == 4);
}

TEST_CASE("utf8: every kind of malformed UTF-8 is found at its byte") {
  struct Case {
    std::string_view text;
    std::size_t at;
  };
  const auto [text, at] = GENERATE(values<Case>({
      {"\xff"sv, 0},
      {"abcdefghijkl\x80"sv, 12},  // after the eight-byte fast path
      {"ab\xc3"sv, 2},             // cut off
      {"ab\xc3z"sv, 2},            // no continuation
      {"\xc0\x80"sv, 0},           // overlong NUL
      {"\xc1\xbf"sv, 0},           // overlong
      {"\xe0\x9f\xbf"sv, 0},       // overlong, three bytes
      {"\xf0\x8f\xbf\xbf"sv, 0},   // overlong, four bytes
      {"x\xed\xa0\x80"sv, 1},      // surrogate
      {"\xf4\x90\x80\x80"sv, 0},   // above U+10FFFF
      {"\xf5\x80\x80\x80"sv, 0},
  }));
  CHECK(first_invalid_utf8(text) == at);
}

TEST_CASE("utf8: bytes that arrive one at a time come out as the same characters") {
  const std::string text = "caf\u00e9 \u9be8 \U0001F40B!";
  Utf8Stream stream;
  std::string out;
  for (const char byte : text) {
    const std::string part = stream.add({&byte, 1});
    CHECK_FALSE(first_invalid_utf8(part).has_value());
    out += part;
  }
  CHECK(out + stream.finish() == text);
}

TEST_CASE("utf8: bytes that belong to no character become U+FFFD, at once when nothing can complete them") {
  Utf8Stream stream;
  CHECK(stream.add("\xff"
                   "a") == "\uFFFDa");
  CHECK(stream.add("\xf0\x9f").empty());
  CHECK(stream.add("b") == "\uFFFD\uFFFDb");
  CHECK(stream.add("\xed\xa0") == "\uFFFD\uFFFD");  // the start of a surrogate
  CHECK(stream.add("\xe2\x96").empty());
  CHECK(stream.finish() == "\uFFFD\uFFFD");
  CHECK(stream.finish().empty());
}

}  // namespace
}  // namespace granule
