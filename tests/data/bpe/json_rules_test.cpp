// Normalizers, pre-tokenizers, models of characters and decoders of a tokenizer.json, against ids and texts
// of the reference library (tests/reference/make_tokenizers.mjs).
#include <map>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Catch::Contains;
using Ids = std::vector<std::int32_t>;
using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;

Json read_json(const char* name) {
  return Json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers" / name));
}

std::unique_ptr<Tokenizer> open(const Json& json) {
  const TempDir dir;
  write_file(dir / "tokenizer.json", json.dump());
  return open_tokenizer(dir / "tokenizer.json");
}

// The vocabulary without some tokens. The ids of the others move together.
void drop(Json& vocabulary, const Json& tokens) {
  for (const std::string token : tokens) vocabulary.erase(token);
  std::map<std::int32_t, std::string> by_id;
  for (const auto& [token, id] : vocabulary.items()) by_id.emplace(id.get<std::int32_t>(), token);
  std::int32_t next = 0;
  for (const auto& [id, token] : by_id) vocabulary[token] = next++;
}

Json patched(const Json& base, const Json& variant) {
  Json json = base;
  for (const auto& [key, value] : variant.at("patch").items()) json[key] = value;
  for (const auto& [key, value] : variant.at("model").items()) json["model"][key] = value;
  drop(json["model"]["vocab"], variant.at("drop"));
  return json;
}

void check_variant(const Json& base, const Json& variant, const Json& texts) {
  INFO(variant.at("name"));
  const Json json = patched(base, variant);
  const auto tokenizer = open(json);
  // Without a decoder the library puts spaces between tokens, and it keeps the space that ByteLevel adds.
  const bool same_text = !json["decoder"].is_null() &&
                         !(json["decoder"]["type"] == "ByteLevel" && tokenizer->adds_leading_space());
  REQUIRE(texts.size() == variant.at("ids").size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    CAPTURE(text);
    const Ids ids = tokenizer->encode(text);
    CHECK(ids == variant.at("ids")[i].get<Ids>());
    CHECK(tokenizer->encode(text) == ids);  // the second time with the remembered words
    if (same_text) CHECK(tokenizer->decode(ids) == variant.at("decoded")[i].get<std::string>());
  }
}

TEST_CASE("json_rules: normalizers and pre-tokenizers of byte-level BPE give the library's ids and texts") {
  const Json base = read_json("base.json"), rules = read_json("byte_rules.json");
  for (const Json& variant : rules.at("variants")) check_variant(base, variant, rules.at("texts"));
}

TEST_CASE("json_rules: BPE of characters that falls back to bytes gives the library's ids and texts") {
  const Json base = read_json("pieces.json"), rules = read_json("piece_rules.json");
  for (const Json& variant : rules.at("variants")) check_variant(base, variant, rules.at("texts"));
}

// pieces.json with the rules of Llama 2.
Json llama() {
  return patched(read_json("pieces.json"), read_json("piece_rules.json").at("variants").at(0));
}

TEST_CASE("json_rules: a long text of characters is cut where no merge is, and has the ids of its parts") {
  const auto tokenizer = open(llama());
  const std::string book =
      read_file(test::source_dir() + "/configs/quickstart/moby-dick.txt").substr(0, 200'000);
  const Ids ids = tokenizer->encode(book);
  CHECK(tokenizer->decode(ids) == book);
  Json whole = llama();
  whole["model"]["ignore_merges"] = true;  // forbids cutting
  CHECK(open(whole)->encode(book) == ids);
}

TEST_CASE("json_rules: a stream of tokens becomes text without the space of the first one") {
  const auto tokenizer = open(llama());
  CHECK(tokenizer->adds_leading_space());
  const std::string text = "the whale \u9be8\n";
  TextStream stream(*tokenizer, TextPosition::document_start);
  std::string streamed;
  for (const std::int32_t id : tokenizer->encode(text)) streamed += stream.add(id);
  CHECK(streamed + stream.finish() == text);
  TextStream inside(*tokenizer, TextPosition::inside);
  streamed.clear();
  for (const std::int32_t id : tokenizer->encode(text)) streamed += inside.add(id);
  CHECK(streamed + inside.finish() == " " + text);
}

TEST_CASE("json_rules: replacements that make a text of any length out of a letter are stopped") {
  Json json = llama();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  const Json doubled{{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  for (int i = 0; i < 60; ++i) json["normalizer"]["normalizers"].push_back(doubled);
  const auto tokenizer = open(json);
  CHECK(tokenizer->encode("b").size() == 1);
  CHECK_THAT(user_error_of([&] { static_cast<void>(tokenizer->encode("a")); }),
             Contains("the normalizer of the tokenizer makes more than 1048576 bytes of it"));
}

struct BadFile {
  const char* place;  // JSON pointer
  const char* value;
  const char* message;
};

TEST_CASE("json_rules: what is not understood is refused by the name of its field") {
  const std::vector<BadFile> files{
      {"/normalizer", R"({"type": "BertNormalizer"})", "normalizer.type is BertNormalizer"},
      {"/normalizer", R"({"type": "Precompiled"})", "normalizer.type is Precompiled"},
      {"/normalizer/normalizers/0", R"({"type": "Nmt"})", "normalizer.normalizers[0].type is Nmt"},
      {"/normalizer/normalizers/0", R"({"type": "Prepend"})", "normalizers[0].prepend is missing"},
      {"/normalizer", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})",
       "normalizer.pattern.String is empty"},
      {"/normalizer", R"({"type": "Replace", "pattern": {"Regex": "a*"}, "content": ""})",
       "the empty string"},
      {"/normalizer", R"({"type": "Replace", "pattern": {"Regex": "a"}})", "normalizer.content is missing"},
      {"/normalizer", R"({"type": "Strip", "strip_left": true})", "normalizer.strip_right is missing"},
      {"/pre_tokenizer", R"({"type": "UnicodeScripts"})", "pre_tokenizer.type is UnicodeScripts"},
      {"/pre_tokenizer", R"({"type": "Metaspace"})", "pre_tokenizer.replacement is missing"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "ab"})", "replacement is not one character"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "often"})",
       "pre_tokenizer.prepend_scheme is often"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})",
       "add_prefix_space does not match the prepend_scheme always"},
      {"/pre_tokenizer", R"({"type": "Punctuation", "behavior": null})", ""},
      {"/pre_tokenizer", R"({"type": "FixedLength", "length": 0})", "pre_tokenizer.length is not between"},
      {"/pre_tokenizer", R"({"type": "CharDelimiterSplit", "delimiter": ""})",
       "delimiter is not one character"},
      {"/pre_tokenizer",
       R"({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false},
           {"type": "Metaspace", "replacement": "_"}]})",
       "pretokenizers[1] is Metaspace after a ByteLevel"},
      {"/decoder", R"({"type": "WordPiece"})", "decoder.type is WordPiece"},
      {"/decoder", R"({"type": "BPEDecoder", "suffix": "</w>"})", "decoder.type is BPEDecoder"},
      {"/decoder/decoders/0", R"({"type": "Fuse"})", "is ByteFallback after another decoder"},
      {"/decoder/decoders/0/pattern", R"({"Regex": "x"})", "decoders[0].pattern.String is missing"},
      {"/decoder/decoders/3/start", "2", "decoders[3].start is more than 1"},
      {"/decoder/decoders/3/stop", "1", "decoders[3].stop is more than 0"},
      {"/model/unk_token", R"("<none>")", ""},
      {"/model/byte_fallback", "false", ""},
      {"/added_tokens/0/single_word", "1", "added_tokens[0].single_word is neither true nor false"},
  };
  for (const BadFile& bad : files) {
    CAPTURE(bad.place, bad.value);
    Json json = llama();
    json[Json::json_pointer(bad.place)] = Json::parse(bad.value);
    if (std::string_view(bad.message).empty()) {
      CHECK_NOTHROW(open(json));  // bytes replace the unknown token, or it replaces them
    } else {
      CHECK_THAT(user_error_of([&] { open(json); }), Contains(bad.message));
    }
  }
}

TEST_CASE(
    "json_rules: a model that would lose text, and one of another kind, are refused with what to give") {
  Json lossy = llama();
  lossy["model"]["byte_fallback"] = false;
  lossy["model"]["unk_token"] = nullptr;
  CHECK_THAT(user_error_of([&] { open(lossy); }),
             Contains("model has neither byte_fallback") && Contains("lost"));
  Json with_token = llama();
  with_token["model"]["unk_token"] = nullptr;
  REQUIRE(with_token["model"]["vocab"].contains("e"));
  with_token["model"]["vocab"].erase("<0x65>");
  CHECK_NOTHROW(open(with_token));
  with_token["model"]["vocab"].erase("<0x07>");  // nothing else stands for this byte
  CHECK_THAT(user_error_of([&] { open(with_token); }), Contains("model has neither byte_fallback"));
  Json no_bytes = llama();
  for (int byte = 0; byte < 256; ++byte) no_bytes["model"]["vocab"].erase(fmt::format("<0x{:02X}>", byte));
  CHECK_THAT(user_error_of([&] { open(no_bytes); }), Contains("model.byte_fallback is true, but"));
  for (const char* const kind : {"Unigram", "WordPiece", "WordLevel"}) {
    Json json = llama();
    json["model"] = {{"type", kind}, {"vocab", Json::array()}};
    json["normalizer"] = {{"type", "BertNormalizer"}};  // the kind is said first
    CHECK_THAT(user_error_of([&] { open(json); }),
               Contains(fmt::format("model.type is {}, only BPE is read", kind)));
  }
}

TEST_CASE(
    "json_rules: the advice for a Unigram or WordPiece tokenizer is a file that is there, or what exists") {
  const TempDir dir;
  Json json = llama();
  json["model"] = {{"type", "Unigram"}, {"vocab", Json::array()}};
  write_file(dir / "tokenizer.json", json.dump());
  const auto error = [&] { return user_error_of([&] { static_cast<void>(open_tokenizer(dir.path())); }); };
  CHECK_THAT(error(), Contains("give the SentencePiece model of the same model"));
  write_file(dir / "spiece.model", "x");
  CHECK_THAT(error(), Contains("give the spiece.model beside it"));
  json["model"]["type"] = "WordPiece";
  write_file(dir / "tokenizer.json", json.dump());
  CHECK_THAT(error(), Contains("granule tokenizer train"));
}

}  // namespace
}  // namespace granule
