#include "data/text/json_line.hpp"

#include "tests/support/catch.hpp"

namespace granule {
namespace {

using Catch::Contains;
using std::string_literals::operator""s;

std::string document(const std::string& line, const std::string& key = "text") {
  const auto result = document_of_line(line, key);
  REQUIRE(std::holds_alternative<std::string>(result));
  return std::get<std::string>(result);
}

TEST_CASE("json_line: a line gives the string under the key that is asked for") {
  CHECK(document(R"({"text": "caf\u00e9\nx", "n": 1})") == "caf\u00e9\nx");
  CHECK(document(R"( {"content": "b", "text": 3} )", "content") == "b");
  CHECK(document(R"({"text": "\ud83d\udc0b \u0000"})") == "\U0001F40B \0"s);
}

TEST_CASE("json_line: a bad line says what is wrong with it, and where in the line") {
  struct Case {
    std::string line;
    const char* what;
    const char* advice;
  };
  const auto bad = GENERATE(values<Case>({
      {R"({"text": "a", "x": NaN})", "not JSON: NaN, which is no number of JSON, at byte 20 of the line",
       "null"},
      {R"({"x": -Infinity, "text": "a"})", "not JSON: -Infinity, which is no number of JSON, at byte 7",
       "null"},
      {R"({"x": nan})", "nan, which is no number of JSON, at byte 7", "null"},
      {R"({"x": None})", "None, which JSON does not know, at byte 7", "null"},
      {R"({"text": "\ud83d"})", "a lone surrogate, \\ud83d, at byte 11 of the line", "U+FFFD"},
      {R"({"text": "a\udc0b"})", "a lone surrogate, \\udc0b, at byte 12 of the line", "U+FFFD"},
      {R"({"other": "\ud83dx", "text": "a"})", "a lone surrogate, \\ud83d, at byte 12", "U+FFFD"},
      {"{\"text\": \"caf\xe9\"}", "not UTF-8: byte 14 of the line", "LATIN1"},
      {"{\"text\": \"a\tb\"}", "an unescaped tab in a string, at byte 12 of the line", "\\t"},
      {"{\"text\": \"a\x01\"}", "an unescaped control character U+0001 in a string, at byte 12", "escape"},
      {"{\"text\": \"a\0\"}"s, "a NUL byte, at byte 12 of the line", "damaged"},
      {"{'text': 'a'}", "a single quote, at byte 2 of the line", "json.dumps"},
      {R"({"text": "a\x"})", "a backslash before what needs none", "\\\\"},
      {R"({"text": "a"},)", "something follows the object, at byte 14 of the line", "one object"},
      {R"({"text": "a"}{"text": "b"})", "something follows the object, at byte 14", "one object"},
      {R"({"text": "a)", "it ends inside of a string, at byte 12 of the line", "cut off"},
      {R"({"text": "a")", "it ends too early, at byte 13 of the line", "cut off"},
      {R"({"text" "a"})", "syntax error, at byte", "one object"},
      {R"({"x": 1e999, "text": "a"})", "a number out of range, at byte 7 of the line", "float64"},
      {R"(["a"])", "not a JSON object: it is array", "one object"},
      {R"("a")", "not a JSON object: it is string", "one object"},
      {R"({"content": "a", "id": 1})", "the object has no \"text\"", "--text-key; its keys are: content, id"},
      {R"({"text": null})", "\"text\" is not a string: it is null", "--text-key"},
      {R"({"text": ["a"]})", "\"text\" is not a string: it is array", "--text-key"},
      {R"({"text": {"de": "a"}})", "\"text\" is not a string: it is object", R"(jq -c '."text"' FILE)"},
      {R"({"text": [{"text": "a"}]})", "\"text\" is not a string: it is array", R"(jq -c '."text"[]' FILE)"},
  }));
  const auto result = document_of_line(bad.line, "text");
  REQUIRE(std::holds_alternative<BadLine>(result));
  CHECK_THAT(std::get<BadLine>(result).what, Contains(bad.what));
  CHECK_THAT(std::get<BadLine>(result).advice, Contains(bad.advice));
}

}  // namespace
}  // namespace granule
