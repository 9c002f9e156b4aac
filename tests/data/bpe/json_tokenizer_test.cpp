#include <map>
#include <random>
#include <set>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/bpe/added_tokens.hpp"
#include "data/bpe/merges.hpp"
#include "data/bpe/splitting/byte_alphabet.hpp"
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
using Ids = std::vector<std::int32_t>;
using test::fixtures_dir;
using test::TempDir;
using test::user_error_of;

Json read_json(const char* name) {
  return Json::parse(read_file(fs::path(fixtures_dir()) / "tokenizers" / name));
}
const Json& base() {
  static const Json json = read_json("base.json");
  return json;
}
const Json& expected() {
  static const Json json = read_json("variants.json");
  return json;
}

struct Opened {
  // The directory of the file that the tokenizer names.
  std::unique_ptr<TempDir> dir = std::make_unique<TempDir>();
  std::unique_ptr<Tokenizer> tokenizer;
  Tokenizer* operator->() const { return tokenizer.get(); }
};

Opened open(const Json& json, const std::string& eos = "", const std::string& config = "") {
  Opened opened;
  write_file(*opened.dir / "tokenizer.json", json.dump());
  if (!config.empty()) write_file(*opened.dir / "tokenizer_config.json", config);
  opened.tokenizer = open_tokenizer(*opened.dir / "tokenizer.json", eos);
  return opened;
}

Json patched(const Json& variant) {
  Json json = base();
  for (const auto& [key, value] : variant.at("patch").items()) json[key] = value;
  for (const auto& [key, value] : variant.at("model").items()) json["model"][key] = value;
  return json;
}

// If they differ, prints one line with both. CHECK would print every id of every text.
void check_ids(Tokenizer& tokenizer, const Json& texts, const Json& ids) {
  REQUIRE(texts.size() == ids.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    const Ids wanted = ids[i].get<Ids>();
    CAPTURE(text);
    CHECK(tokenizer.encode(text) == wanted);
    CHECK(tokenizer.encode(text) == wanted);  // the second time with the remembered words
  }
}

TEST_CASE(
    "json_tokenizer: tokenizer.json: every kind of pre-tokenizer gives the ids of the reference library") {
  for (const Json& variant : expected().at("variants")) {
    INFO(variant.at("name"));
    const Opened tokenizer = open(patched(variant));
    check_ids(*tokenizer.tokenizer, expected().at("texts"), variant.at("ids"));
  }
}

TEST_CASE("json_tokenizer: tokenizer.json: merges may be pairs as well as strings") {
  Json json = base();
  for (Json& merge : json["model"]["merges"]) {
    const std::string text = merge;
    const std::size_t space = text.find(' ');
    merge = Json::array({text.substr(0, space), text.substr(space + 1)});
  }
  check_ids(*open(json).tokenizer, expected().at("texts"), expected().at("variants")[0].at("ids"));
}

TEST_CASE(
    "json_tokenizer: tokenizer.json: decoding gives the text back without its special tokens, whole or as a "
    "stream") {
  const Opened tokenizer = open(base());
  for (const std::string text : expected().at("texts")) {
    const Ids ids = tokenizer->encode(text);
    std::string plain = text;
    for (const std::string special :
         {base()["added_tokens"][0]["content"], base()["added_tokens"][1]["content"]}) {
      for (std::size_t at; (at = plain.find(special)) != std::string::npos;) plain.erase(at, special.size());
    }
    CHECK(tokenizer->decode(ids) == plain);
    TextStream stream(*tokenizer.tokenizer, TextPosition::document_start);
    std::string streamed;
    for (const auto id : ids) {
      const std::string part = stream.add(id);
      REQUIRE_FALSE(first_invalid_utf8(part).has_value());
      streamed += part;
    }
    CHECK(streamed + stream.finish() == plain);
  }
}

TEST_CASE("json_tokenizer: tokenizer.json: every byte has its own character, and all 256 differ") {
  std::set<std::string> seen;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string& character = byte_characters().at(byte);
    CHECK(seen.insert(character).second);
    CHECK(bytes_of_token(character) == std::string{static_cast<char>(byte)});
  }
  CHECK(byte_characters()[' '] == "\u0120");
  CHECK(byte_characters()['a'] == "a");
  CHECK(byte_characters()[0] == "\u0100");
  CHECK(byte_characters()[0xAD] == "\u0143");  // the last of the substitutes
  CHECK_FALSE(bytes_of_token("\u0144").has_value());
  CHECK_FALSE(bytes_of_token("a\uFF5C").has_value());
}

// The definition of merging, in quadratic time.
Ids merged_slowly(Ids word, const std::map<std::pair<int, int>, std::pair<int, int>>& merges) {
  while (true) {
    std::size_t best = word.size();
    int rank = 0;
    for (std::size_t i = 0; i + 1 < word.size(); ++i) {
      const auto merge = merges.find({word[i], word[i + 1]});
      if (merge == merges.end() || (best < word.size() && merge->second.first >= rank)) continue;
      best = i;
      rank = merge->second.first;
    }
    if (best == word.size()) return word;
    word[best] = merges.at({word[best], word[best + 1]}).second;
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST_CASE("json_tokenizer: merges go by rank and then from the left, as in the definition") {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Merges merges;
    std::map<std::pair<int, int>, std::pair<int, int>> plain;
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    // There are few symbols, so that merges overlap and pairs occur twice.
    for (int rank = 0; rank < 30; ++rank) {
      const int left = below(3 + rank), right = below(3 + rank);
      merges.add(left, right, rank, 3 + rank);
      plain[{left, right}] = {rank, 3 + rank};
    }
    Ids word(static_cast<std::size_t>(below(60)));
    for (auto& symbol : word) symbol = below(3);
    Ids tokens{-7};
    merges.apply(word, tokens);
    REQUIRE(tokens.front() == -7);  // appended
    tokens.erase(tokens.begin());
    REQUIRE(tokens == merged_slowly(word, plain));
  }
}

TEST_CASE("json_tokenizer: tokenizer.json: a word of a megabyte does not take quadratic time") {
  const Opened tokenizer = open(base());
  const std::string text(1'000'000, 'a');
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
}

TEST_CASE("json_tokenizer: tokenizer.json: text that is not UTF-8 is refused with the place") {
  const Opened tokenizer = open(base());
  CHECK(user_error_of([&] { static_cast<void>(tokenizer->encode("abc\xff")); }) ==
        "the text is not UTF-8 (byte 3): convert it to UTF-8");
  CHECK(tokenizer->encode("").empty());
}

TEST_CASE("json_tokenizer: tokenizer.json: names, sizes, and a space that is put before") {
  const Opened tokenizer = open(base());
  CHECK(tokenizer->vocab_size() == 660);
  CHECK(tokenizer->token_name(659) == "<\uFF5CUser\uFF5C>");
  CHECK(tokenizer->token_bytes(659) == "<\uFF5CUser\uFF5C>");
  CHECK(tokenizer->token_bytes(0).empty());
  CHECK(tokenizer->bos_id() == 0);
  CHECK(tokenizer->eos_id() == 1);
  CHECK(tokenizer->config_beside().empty());
  CHECK_FALSE(tokenizer->adds_leading_space());
  CHECK_THROWS_AS(tokenizer->token_bytes(660), Error);
  CHECK_THROWS_AS(tokenizer->token_bytes(-1), Error);
  Json json = base();
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}};
  const Opened spaced = open(json);
  CHECK(spaced->adds_leading_space());
  CHECK(spaced->decode(spaced->encode("the whale")) == "the whale");
}

Json with_added(std::vector<std::string> contents) {
  Json json = base();
  std::int32_t id = 659;
  json["added_tokens"] = Json::array();
  for (const std::string& content : contents)
    json["added_tokens"].push_back({{"id", id++}, {"content", content}, {"special", true}});
  return json;
}

TEST_CASE(
    "json_tokenizer: tokenizer.json: EOS is what is asked for, what the config beside it says, or the one "
    "usual name") {
  const Json two = with_added({"</s>", "<|endoftext|>", "<|im_end|>"});
  CHECK(open(two, "<|im_end|>")->eos_id() == 661);
  CHECK(open(two, "", R"({"eos_token": "<|endoftext|>"})")->eos_id() == 660);
  CHECK(open(two, "", R"({"eos_token": {"content": "</s>"}, "bos_token": "<|im_end|>"})")->eos_id() == 659);
  CHECK(open(two, "", R"({"eos_token": {"content": "</s>"}, "bos_token": "<|im_end|>"})")->bos_id() == 661);
  CHECK(open(two, "</s>", R"({"eos_token": "<|endoftext|>", "x": 1})")->eos_id() == 659);
  CHECK(open(with_added({"<|endoftext|>"}), "", R"({"eos_token": null})")->eos_id() == 659);
  CHECK(open(with_added({"<s>", "</s>"}))->bos_id() == 659);
  CHECK_FALSE(open(with_added({"<s>", "<bos>", "</s>"}))->bos_id().has_value());
  CHECK_FALSE(open(with_added({"<|im_end|>"}))->eos_id().has_value());
  CHECK(open(two)->decode(open(two)->encode("a b")) == "a b");  // needs no EOS
  Json html = with_added({"<eos>", "</s>", "<s>"});
  html["added_tokens"][1]["special"] = false;
  CHECK(open(html)->eos_id() == 659);
}

TEST_CASE("json_tokenizer: tokenizer.json: a copy with its config beside it opens with the same EOS") {
  const Json json = with_added({"</s>", "<|endoftext|>"});
  const Opened chosen = open(json, "</s>", R"({"chat_template": "{{ x }}", "eos_token": "<|endoftext|>"})");
  const Opened copy = open(json, "", chosen->config_beside());
  CHECK(copy->eos_id() == chosen->eos_id());
  CHECK(copy->config_beside() == chosen->config_beside());
  CHECK(Json::parse(chosen->config_beside())["chat_template"] == "{{ x }}");
  CHECK(tokenizer_files(copy->path()) == std::vector{copy->path(), *copy.dir / "tokenizer_config.json"});
  CHECK(open(json, "", open(json, "</s>")->config_beside())->eos_id() == chosen->eos_id());
  const Opened alone = open(base());
  CHECK(tokenizer_files(alone->path()) == std::vector{alone->path()});
}

struct BadFile {
  const char* place;  // JSON pointer
  const char* value;  // JSON; "-" removes the key
  const char* message;
};

TEST_CASE("json_tokenizer: tokenizer.json: what is not understood is refused by the name of its field") {
  const auto split = [](const char* pattern) {
    return fmt::format(R"([{{"type": "Split", "pattern": {{"Regex": {}}}, "behavior": "Isolated"}}])",
                       Json(pattern).dump());
  };
  const std::vector<BadFile> files{
      {"/normalizer/normalizers", R"([{"type": "Sequence", "normalizers": [{"type": "Nmt"}]}])",
       "normalizer.normalizers[0].normalizers[0].type is Nmt"},
      {"/pre_tokenizer", "null", "model has neither byte_fallback"},
      {"/pre_tokenizer", R"({})", "pre_tokenizer.type is missing"},
      {"/pre_tokenizer", R"([])", "pre_tokenizer is not an object"},
      {"/pre_tokenizer/pretokenizers", "[]", "model has neither byte_fallback"},
      {"/pre_tokenizer/pretokenizers/0", R"({"type": "UnicodeScripts"})",
       "pre_tokenizer.pretokenizers[0].type is UnicodeScripts"},
      {"/pre_tokenizer/pretokenizers/0", R"({"type": "ByteLevel", "add_prefix_space": false})",
       "pre_tokenizer.pretokenizers[3] is ByteLevel after a ByteLevel"},
      {"/pre_tokenizer/pretokenizers/0/behavior", R"("Sometimes")", "pretokenizers[0].behavior is Sometimes"},
      {"/pre_tokenizer/pretokenizers/0/behavior", "-", "pretokenizers[0].behavior is missing"},
      {"/pre_tokenizer/pretokenizers/0/invert", "1", "pretokenizers[0].invert is neither true nor false"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"String": ""})", "pattern.String is empty"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Glob": "*"})", "pattern.String is missing"},
      {"/pre_tokenizer/pretokenizers/0/pattern/Regex", "7", "pattern.Regex is not a string"},
      {"/pre_tokenizer/pretokenizers/3/add_prefix_space", "-", "add_prefix_space is missing"},
      {"/decoder", R"({"type": "Metaspace"})", "decoder.replacement is missing"},
      {"/decoder", R"({"type": "Sequence", "decoders": [{"type": "CTC"}]})",
       "decoder.decoders[0].type is CTC"},
      {"/truncation", R"({"max_length": 512})", "truncation is set"},
      {"/padding", R"({"strategy": "BatchLongest"})", "padding is set"},
      {"/model", "-", "has no model, so it is not a tokenizer.json"},
      {"/model/type", R"("Unigram")", "model.type is Unigram, only BPE"},
      {"/model/dropout", "0.1", "model.dropout makes ids random"},
      {"/model/continuing_subword_prefix", R"("##")", "model.continuing_subword_prefix is \"##\""},
      {"/model/end_of_word_suffix", R"("</w>")", "model.end_of_word_suffix is \"</w>\""},
      {"/model/ignore_merges", R"("yes")", "model.ignore_merges is neither true nor false"},
      {"/model/vocab", "[]", "model.vocab is not an object"},
      {"/model/vocab/a", "-", "model.vocab has no token for the byte 61"},
      {"/model/vocab/a", "-1", "model.vocab gives a no id"},
      {"/model/vocab/a", "1.5", "model.vocab gives a no id"},
      {"/model/vocab/a", "3000000000", "model.vocab gives a the id 3000000000, which is too large"},
      {"/model/vocab/a", "8", "model.vocab gives the id 8 to"},
      {"/model/merges", "-", "model.merges is missing"},
      {"/model/merges", "{}", "model.merges is not a list"},
      {"/model/merges/3", R"("onlyone")", "model.merges[3] is not two tokens"},
      {"/model/merges/3", R"("a b c")", "model.merges[3] is not two tokens"},
      {"/model/merges/3", R"(["a"])", "model.merges[3] is not two tokens"},
      {"/model/merges/3", R"("Q Q")", "model.merges[3] merges Q and Q, but QQ is not in the vocabulary"},
      {"/model/merges/3", R"(["zzz", "a"])", "but zzz is not in the vocabulary"},
      {"/added_tokens", "{}", "added_tokens is not a list"},
      {"/added_tokens/0/special", "2", "added_tokens[0].special is neither true nor false"},
      {"/added_tokens/0/content", R"("")", "added_tokens[0].content is empty"},
      {"/added_tokens/0/content", "-", "added_tokens[0].content is missing"},
      {"/added_tokens/0/id", "5", "model.vocab gives <\uFF5Cbegin\u2581of\u2581sentence\uFF5C> the id 0"},
      {"/added_tokens/0/id", "1", "added_tokens[1] is a second"},
      {"/added_tokens/2/id", "7", "model.vocab gives the id 7 to"},
      {"/added_tokens/2/id", "3000000000", "added_tokens[2].id is too large"},
  };
  for (const BadFile& bad : files) {
    CAPTURE(bad.place, bad.value);
    Json json = base();
    const Json::json_pointer place(bad.place);
    if (std::string_view(bad.value) == "-") {
      json.at(place.parent_pointer()).erase(place.back());
    } else {
      json[place] = Json::parse(bad.value);
    }
    CHECK_THAT(user_error_of([&] { open(json); }), Catch::Contains(bad.message));
  }
  const std::vector<std::pair<const char*, const char*>> patterns{
      {"(", "cannot be read as a pattern"},
      {"a*", "can match the empty string"},
      {R"([\b])", R"(has \b)"},
      {R"((a)\1)", R"(has \1)"},
      {"[a[[:alpha:]]]", "has [: inside"},
      {"[a-z&&]", "has nothing beside &&"},
      {"(?i:x[a[b]])", "brackets inside of brackets where case is ignored"},
      {"(?i:\\w)", "has \\w where case is ignored"},
      {"[]a]", "has a ] that begins"},
      {"[a[]b]]", "has a ] that begins"},
      {"(?m).", "has (?m)"},
      {"(?x: a)", "has (?x:"},
      {"(*UCP)a", "has (*"},
      {"a{1,3}+", "has }+"},
      {"a{,3}b", "has {,"},
      {R"(\xE9)", R"(has \xE9)"},
      {R"(\u12)", R"(has \u)"},
      {R"(\p{InGreek})", "cannot be read as a pattern"},
      {"a\\", "cannot be read as a pattern"},
      {R"(\x{41)", "cannot be read as a pattern"}};
  for (const auto& [pattern, message] : patterns) {
    CAPTURE(pattern);
    Json json = base();
    json["pre_tokenizer"]["pretokenizers"] = Json::parse(split(pattern));
    CHECK_THAT(user_error_of([&] { open(json); }),
               Catch::Contains("pretokenizers[0].pattern.Regex") && Catch::Contains(message));
  }
}

TEST_CASE(
    "json_tokenizer: tokenizer.json: files that are none, and an EOS that is not there or could be several, "
    "are refused") {
  const TempDir dir;
  write_file(dir / "list.json", "[1]");
  write_file(dir / "cut.json", base().dump().substr(0, 5000));
  write_file(dir / "twice.json", R"({"model": {}, "model": {}})");
  write_file(dir / "config.json", R"({"hidden_size": 7})");
  const auto error = [&](const char* name) {
    return user_error_of([&] { static_cast<void>(open_tokenizer(dir / name)); });
  };
  CHECK_THAT(error("list.json"), Catch::Contains("not a JSON object"));
  CHECK_THAT(error("cut.json"), Catch::Contains("it ends too early"));
  CHECK_THAT(error("twice.json"), Catch::Contains("given twice"));
  CHECK_THAT(error("config.json"), Catch::Contains("the file has no model"));
  CHECK_THAT(error("absent.json"), Catch::Contains("No such file"));
  const Json two = with_added({"</s>", "<|endoftext|>"});
  CHECK_THAT(
      user_error_of([&] { static_cast<void>(open(two)->eos_id()); }),
      Catch::Contains("</s> and <|endoftext|> could both end documents") && Catch::Contains("--eos TOKEN"));
  CHECK_THAT(user_error_of([&] { open(two, "<eos>"); }), Catch::Contains("<eos> is not in the tokenizer"));
  CHECK_THAT(user_error_of([&] { open(two, "", R"({"eos_token": "<eos>"})"); }),
             Catch::Contains("eos_token is <eos>, which is not in the tokenizer"));
  CHECK_THAT(user_error_of([&] { open(two, "", R"({"eos_token": 7})"); }),
             Catch::Contains("eos_token is not a string"));
  CHECK_THAT(user_error_of([&] { open(two, "", R"({"eos_token": {"x": 7}})"); }),
             Catch::Contains("eos_token.content is missing"));
  CHECK_THAT(user_error_of([&] { open(two, "", "[]"); }), Catch::Contains("not a JSON object"));
}

// GPT-2's alphabet without merges, so that the ids show what became one token.
Json bytes_alone() {
  Json json = base();
  Json vocab = Json::object();
  for (std::size_t byte = 0; byte < 256; ++byte) vocab[byte_characters().at(byte)] = byte;
  json["model"]["vocab"] = vocab;
  json["model"]["merges"] = Json::array();
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  json["added_tokens"] = Json::array();
  return json;
}

void add_token(Json& json, std::int32_t id, const std::string& content) {
  json["added_tokens"].push_back({{"id", id}, {"content", content}, {"special", true}});
}

TEST_CASE(
    "json_tokenizer: tokenizer.json: whole words are looked up among the model's tokens, never among added "
    "ones") {
  Json json = bytes_alone();
  json["model"]["ignore_merges"] = true;
  json["model"]["vocab"]["\u0120the"] = 256;  // no merge makes this token
  add_token(json, 257, "\u0120hi");
  add_token(json, 258, "\u00c3\u00a9");
  const Opened tokenizer = open(json, "\u0120hi");
  CHECK(tokenizer->encode("say hi") == Ids{'s', 'a', 'y', ' ', 'h', 'i'});
  CHECK(tokenizer->encode("\u00e9") == Ids{0xC3, 0xA9});
  CHECK(tokenizer->encode(" the") == Ids{256});
  CHECK(tokenizer->eos_id() == 257);
}

TEST_CASE(
    "json_tokenizer: tokenizer.json: added tokens have the ids that the library would give them, or are "
    "refused") {
  Json json = bytes_alone();
  add_token(json, 'a', "a");  // one that the model itself has
  add_token(json, 256, "<x>");
  add_token(json, 257, "<y>");
  CHECK(open(json, "<x>")->encode("a<y>") == Ids{'a', 257});
  add_token(json, 300, "<z>");
  CHECK_THAT(
      user_error_of([&] { open(json); }),
      Catch::Contains("added_tokens[3] gives <z> the id 300, and the tokenizers library gives it 258"));
  json["added_tokens"].erase(3);
  std::swap(json["added_tokens"][1], json["added_tokens"][2]);
  CHECK_THAT(
      user_error_of([&] { open(json); }),
      Catch::Contains("added_tokens[1] gives <y> the id 257, and the tokenizers library gives it 256"));
  json = bytes_alone();
  // A gap in the model's own ids. The library fills it, and so does this one.
  json["model"]["vocab"]["<high>"] = 270;
  add_token(json, 257, "<x>");
  CHECK(open(json, "<x>")->encode("<x>") == Ids{257});
}

TEST_CASE("json_tokenizer: tokenizer.json: patterns that fold two letters into one character are refused") {
  const auto open_with = [](const std::string& pattern) {
    Json json = base();
    json["pre_tokenizer"]["pretokenizers"] =
        Json::array({{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
                     {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}});
    return open(json);
  };
  for (const char* const pattern :
       {"(?i:class)", "(?i:a(?:s)s)", "(?i:'s|first)", "(?i:OFF)", "(?i:fi)", "(?i:x(?:f|g)|fL)", "(?i:s{2})",
        "(?i:xs+)", "(?i:s?s)", "(?i:\u00df)", "(?i:[a\u00df])", "(?i:x\\p{L})", "(?i:[\\S])", "(?i:[^\\D])",
        "(?i:\\x{df})", "(?i:\\u00df)", "(?i:[s]s)", "a(?:b(?i:c(?:d)ss))"}) {
    CAPTURE(pattern);
    CHECK_THAT(user_error_of([&] { open_with(pattern); }), Catch::Contains("where case is ignored"));
  }
  for (const char* const pattern :
       {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|x", "'(?i:[sdmt]|ll|ve|re)", "(?i:s)s|first", "(?i:a)(?:ss)\u00df",
        "(?i:f[a-z]i)", "(?i:s|t)", "(?i:\\s+x\\d)"}) {
    CAPTURE(pattern);
    CHECK_NOTHROW(open_with(pattern));
  }
}

}  // namespace
}  // namespace granule
