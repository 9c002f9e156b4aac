#include "data/tokenizers/vocabulary_listing.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "data/bpe/json_from_pieces.hpp"
#include "data/files/files.hpp"
#include "data/open_tokenizer.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/shard_files.hpp"
#include "tests/support/small_tokenizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Catch::Contains;
using Scheme = VocabularyListing::Scheme;
using test::fixtures_dir;
using test::TempDir;

Json fixture(const char* name) {
  return Json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers" / name));
}

VocabularyListing listing_of(const Json& tokenizer) {
  const TempDir dir;
  write_file(dir / "tokenizer.json", tokenizer.dump());
  return open_tokenizer(dir / "tokenizer.json")->listing();
}

// A tokenizer with the rules of a variant.
Json variant(std::string_view name, const char* tokenizer = "base.json",
             const char* rules = "variants.json") {
  Json json = fixture(tokenizer);
  const Json variants = fixture(rules).at("variants");
  for (const Json& one : variants) {
    if (one.at("name") != name) continue;
    for (const auto& [key, value] : one.at("patch").items()) json[key] = value;
    for (const auto& [key, value] : one.at("model").items()) json["model"][key] = value;
    return json;
  }
  FAIL("there is no variant " << name);
  return json;
}

Json bytes(std::string_view name) {
  return variant(name, "base.json", "byte_rules.json");
}
Json pieces(std::string_view name) {
  return variant(name, "pieces.json", "piece_rules.json");
}

TEST_CASE("vocabulary_listing: a tokenizer.json is listed with its own spelling, kinds and merges") {
  Json json = fixture("base.json");
  json["model"]["vocab"]["\u0120Ishmael"] = 660;  // it leaves the gap 658
  const VocabularyListing listing = listing_of(json);
  CHECK(listing.scheme == Scheme::merges);
  REQUIRE(listing.pieces.size() == 661);
  CHECK(listing.pieces[0].text == "<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>");
  CHECK(listing.pieces[0].kind == PieceKind::control);
  CHECK(listing.pieces[659].kind == PieceKind::user_defined);
  CHECK(listing.pieces[658].text.empty());
  CHECK(listing.pieces[658].kind == PieceKind::unused);
  for (const auto& [token, id] : json["model"]["vocab"].items()) {
    CAPTURE(token);
    CHECK(listing.pieces[id.get<std::size_t>()].text == token);
  }
  CHECK(listing.merges == json["model"]["merges"].get<std::vector<std::string>>());
  CHECK_FALSE(listing.adds_space_prefix);
  CHECK(listing.llama_cpp_pre_tokenizer == "deepseek-v3");
  CHECK(listing.obstacle.empty());
}

TEST_CASE("vocabulary_listing: rules that cut text have llama.cpp's name for them, or an obstacle") {
  const auto name_of = [](const Json& json) {
    return listing_of(json).llama_cpp_pre_tokenizer.value_or("none");
  };
  CHECK(name_of(variant("DeepSeek")) == "deepseek-v3");
  CHECK(name_of(variant("GPT-2")) == "gpt-2");
  CHECK(name_of(variant("Llama 3")) == "llama-bpe");
  Json o200k = variant("o200k");
  std::string& words = o200k["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].get_ref<std::string&>();
  words.insert(words.find(R"(|\p{N}{1,3})"), "(?i:'s|'t|'re|'ve|'m|'ll|'d)?");
  CHECK(name_of(o200k) == "gpt-4o");
  CHECK_THAT(listing_of(o200k).caveat, Contains("combining marks"));
  CHECK(listing_of(variant("DeepSeek")).caveat.empty());
  CHECK_THAT(listing_of(variant("GPT-2")).caveat, Contains("spaces before punctuation"));
  CHECK(listing_of(bytes("Qwen 2.5")).caveat == "it finds other ids in text that is not in NFC");
  CHECK_THAT(listing_of(bytes("GPT-NeoX")).caveat,
             Contains("punctuation when") && Contains(", and it finds"));
  CHECK(name_of(bytes("Qwen 2.5")) == "qwen2");
  CHECK(name_of(bytes("Command-R")) == "smollm");
  CHECK(name_of(bytes("Falcon")) == "falcon");
  CHECK(name_of(bytes("BLOOM")) == "bloom");
  CHECK(name_of(bytes("Viking")) == "viking");
  CHECK(name_of(bytes("Kimi")) == "kimi-k2");
  CHECK(name_of(bytes("DeepSeek Coder")) == "deepseek-coder");
  CHECK(name_of(bytes("Claude")) == "none");
  Json cl100k = variant("Llama 3");
  cl100k["model"]["ignore_merges"] = false;
  CHECK(name_of(cl100k) == "dbrx");
  Json lines = variant("DeepSeek");
  std::string regex = lines["pre_tokenizer"]["pretokenizers"][2]["pattern"]["Regex"];
  for (std::size_t at; (at = regex.find('\r')) != std::string::npos;) regex.replace(at, 1, "\\r");
  for (std::size_t at; (at = regex.find('\n')) != std::string::npos;) regex.replace(at, 1, "\\n");
  lines["pre_tokenizer"]["pretokenizers"][2]["pattern"]["Regex"] = regex;
  CHECK(name_of(lines) == "deepseek-v3");
  for (const char* const unknown :
       {"GPT-2 with a space before", "whole text as one word", "String removed", "digits together"}) {
    CAPTURE(unknown);
    const VocabularyListing listing = listing_of(variant(unknown));
    CHECK_FALSE(listing.llama_cpp_pre_tokenizer.has_value());
    CHECK_THAT(listing.obstacle, Contains("rules that llama.cpp does not have"));
  }
  CHECK(listing_of(variant("GPT-2 with a space before")).adds_space_prefix);
}

TEST_CASE("vocabulary_listing: merges that are like SentencePiece's become scores, or there is an obstacle") {
  const VocabularyListing llama = listing_of(pieces("Llama 2"));
  CHECK(llama.scheme == Scheme::scores);
  CHECK_THAT(llama.obstacle, Contains("not in the order of SentencePiece's scores"));  // not every split
  CHECK_THAT(listing_of(pieces("Mistral 7B")).obstacle, Contains("begins with one, and llama.cpp does"));
  CHECK_THAT(listing_of(pieces("words and punctuation")).obstacle, Contains("changes or cuts text"));
  CHECK_THAT(listing_of(pieces("unknown characters")).obstacle, Contains("does not fall back to bytes"));
}

#ifdef GRANULE_WITH_SENTENCEPIECE

TEST_CASE(
    "vocabulary_listing: a tokenizer.json that was made of a SentencePiece model has its scores again") {
  const VocabularyListing model = open_tokenizer(test::small_tokenizer())->listing();
  const nlohmann::json made = json_from_pieces(model);
  const VocabularyListing again = listing_of(made);
  CHECK(again.scheme == Scheme::scores);
  CHECK(again.obstacle.empty());
  CHECK(again.adds_space_prefix);
  REQUIRE(again.pieces.size() == model.pieces.size());
  std::size_t joined = 0;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    CHECK(again.pieces[id].text == model.pieces[id].text);
    CHECK(again.pieces[id].kind == model.pieces[id].kind);
    if (id < 259 || model.pieces[id].score < -30) continue;  // characters, which nothing joins
    CHECK(again.pieces[id].score == model.pieces[id].score);
    ++joined;
  }
  CHECK(joined == 31);
  nlohmann::json fewer = made;
  fewer["model"]["merges"].erase(fewer["model"]["merges"].size() - 1);
  CHECK_THAT(listing_of(fewer).obstacle, Contains("not in the order of SentencePiece's scores"));
}

TEST_CASE("vocabulary_listing: a SentencePiece model is listed with its kinds and scores") {
  const auto tokenizer = open_tokenizer(test::small_tokenizer());
  const VocabularyListing listing = tokenizer->listing();
  CHECK(listing.scheme == Scheme::scores);
  REQUIRE(std::ssize(listing.pieces) == tokenizer->vocab_size());
  CHECK(listing.pieces[0].text == "<unk>");
  CHECK(listing.pieces[0].kind == PieceKind::unknown);
  CHECK(listing.pieces[1].kind == PieceKind::control);
  CHECK(listing.pieces[3].text == "<0x00>");
  CHECK(listing.pieces[3].kind == PieceKind::byte);
  CHECK(listing.pieces[259].kind == PieceKind::normal);
  CHECK(listing.pieces[259].score == 0.0F);
  CHECK(listing.pieces[260].score == -1.0F);
  for (std::int32_t id = 0; id < tokenizer->vocab_size(); ++id)
    CHECK(listing.pieces[static_cast<std::size_t>(id)].text == tokenizer->token_name(id));
  CHECK(listing.merges.empty());
  CHECK(listing.adds_space_prefix);
  CHECK_FALSE(listing.llama_cpp_pre_tokenizer.has_value());
  CHECK(listing.obstacle.empty());
}

TEST_CASE("vocabulary_listing: what joining by score cannot do is an obstacle") {
  struct Case {
    std::string addition;  // a part of the message that wins over what the model says
    const char* obstacle;
  };
  using namespace std::string_literals;
  const auto test = GENERATE(values<Case>({
      {"\x12\x02\x18\x01"s, "is not BPE"},
      {"\x1a\x02\x20\x01"s, "removes repeated spaces"},
      {"\x12\x03\xc0\x01\x01"s, "at the end of words"},
      {"\x1a\x02\x28\x00"s, "does not write spaces as"},
  }));
  const TempDir dir;
  CAPTURE(test.obstacle);
  write_file(dir / "tokenizer.model", read_file(test::small_tokenizer()) + test.addition);
  CHECK_THAT(open_tokenizer(dir / "tokenizer.model")->listing().obstacle, Contains(test.obstacle));
}

#endif

}  // namespace
}  // namespace granule
