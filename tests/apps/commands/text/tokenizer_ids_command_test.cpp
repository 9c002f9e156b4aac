#ifdef GRANULE_WITH_SENTENCEPIECE  // SentencePiece trains the tested tokenizer
// granule tokenizer encode and decode from outside.
#include <nlohmann/json.hpp>

#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/run_program.hpp"
#include "tests/support/small_tokenizer.hpp"

using namespace granule::test;
using Catch::Contains;
using nlohmann::json;

namespace {

ProgramResult tokenizer(const std::string& command, const std::vector<std::string>& more,
                        const std::string& input = {}) {
  std::vector<std::string> arguments{"tokenizer", command, small_tokenizer()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ProgramResult result = run_program(arguments, {.input = input});
  INFO(result.err);
  return result;
}

}  // namespace

TEST_CASE("tokenizer_ids_command: encode prints the ids of a text, from the command line or stdin") {
  const auto own = granule::open_tokenizer(small_tokenizer());
  for (const std::string text :
       {"the old sea", " two  spaces ", "der Wal \u00e4\U0001f40b\n", "-5", "--", "- item", "-x"}) {
    INFO(text);
    CHECK(json::parse(tokenizer("encode", {"--text", text}).out) == json(own->encode(text)));
    CHECK(json::parse(tokenizer("encode", {}, text).out) == json(own->encode(text)));
    CHECK(json::parse(tokenizer("encode", {"-"}, text).out) == json(own->encode(text)));
  }
  CHECK(tokenizer("encode", {""}).out == "[]\n");
  const json pieces = json::parse(tokenizer("encode", {"the old sea", "--pieces"}).out);
  const auto ids = own->encode("the old sea");
  REQUIRE(pieces.size() == ids.size());
  CHECK(pieces[1] == json{{"id", ids[1]}, {"piece", own->token_name(ids[1])}});
}

TEST_CASE("tokenizer_ids_command: with --lines, each line is a text") {
  const std::string first = json(granule::open_tokenizer(small_tokenizer())->encode("the old")).dump() + "\n";
  for (const std::string input : {"the old\n\nthe old\n", "the old\n\nthe old", "the old\r\n\r\nthe old\r\n"})
    CHECK(tokenizer("encode", {"--lines"}, input).out == first + "[]\n" + first);
  CHECK(tokenizer("encode", {"--lines"}).out.empty());
  const ProgramResult pieces = tokenizer("encode", {"--lines", "--pieces"}, "the old\nsea\n");
  CHECK(std::ranges::count(pieces.out, '\n') == 2);
  CHECK_THAT(pieces.out, Contains("\"piece\""));
}

TEST_CASE("tokenizer_ids_command: decode takes what encode prints, and gives the text back") {
  const std::string text = "the old\n\n sea, \u00e4\U0001f40b \t!\n";
  const std::string ids = tokenizer("encode", {}, text).out;
  CHECK(tokenizer("decode", {}, ids).out == text);
  CHECK(tokenizer("decode", {ids}).out == text);
  const auto own = granule::open_tokenizer(small_tokenizer())->encode("the old");
  std::vector<std::string> words;
  for (const std::int32_t id : own) words.push_back(std::to_string(id));
  CHECK(tokenizer("decode", words).out == "the old");
  CHECK(tokenizer("decode", {"[]"}).out.empty());
}

TEST_CASE("tokenizer_ids_command: ids that are none, and bytes that are no text, are refused") {
  const auto refused = [](const ProgramResult& result, const std::string& what) {
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, Contains(what));
  };
  refused(tokenizer("decode", {"5 x"}), "'x' is not a token id (command line)");
  for (const char* const list :
       {"[1.5]", "[1, 2", "[1, 2]]", "[[1], [2]]", "[1] [2]", "1] [2", "[\"1\"]", "[18446744073709551615]"})
    refused(tokenizer("decode", {}, list), "not one list of token ids (stdin)");
  refused(tokenizer("decode", {"350"}), "there is no token 350");
  refused(tokenizer("decode", {"--", "-1"}), "there is no token -1");
  refused(tokenizer("decode", {"99999999999"}), "there is no token 99999999999");
  refused(tokenizer("encode", {}, "a\xff"), "not UTF-8 from byte 2 on (stdin)");
}
#endif
