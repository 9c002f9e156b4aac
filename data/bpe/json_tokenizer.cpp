#include "data/bpe/json_tokenizer.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "core/error.hpp"
#include "data/bpe/added_tokens.hpp"
#include "data/bpe/document_ends.hpp"
#include "data/bpe/llama_cpp_name.hpp"
#include "data/bpe/normalizers/normalizer.hpp"
#include "data/bpe/piece_scores.hpp"
#include "data/bpe/splitting/pre_tokenizer.hpp"
#include "data/bpe/token_decoder.hpp"
#include "data/bpe/vocabulary.hpp"
#include "data/files/strict_json.hpp"
#include "data/tokenizers/word_cutter.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kMaxCachedWords = std::size_t{1} << 18;
constexpr std::size_t kMaxCachedBytes = 128;  // longer words rarely occur twice

struct HashText {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }
};

void require_known_settings(const JsonField& file) {
  if (file.has("truncation")) file.at("truncation").refuse("is set, which would cut documents off");
  if (file.has("padding")) file.at("padding").refuse("is set, which would lengthen documents");
}

// Before anything else is looked at, because such files also have other normalizers.
void require_bpe(const JsonField& file, const fs::path& path) {
  if (!file.has("model")) file.refuse("has no model, so it is not a tokenizer.json");
  const JsonField model = file.at("model");
  // Files from before this key existed are recognised by their merges.
  const std::string type = model.has("type") ? model.at("type").text() : "BPE";
  if (type == "BPE") return;
  const std::string what = fmt::format("model.type is {}, only BPE is read", type);
  if (type != "Unigram")
    user_error(what, path.string(),
               "use a model whose tokenizer is BPE, or train one: granule tokenizer train");
  for (const char* const name : {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model"}) {
    std::error_code error;
    if (fs::is_regular_file(path.parent_path() / name, error))
      user_error(what, path.string(), fmt::format("give the {} beside it", name));
  }
  user_error(what, path.string(),
             "give the SentencePiece model of the same model (tokenizer.model, spiece.model), which is read");
}

JsonField field_of(const Json& json, const fs::path& path) {
  return {json, path.string(),
          "a BPE tokenizer.json is read (GPT-2, Llama, Qwen, DeepSeek); a model of another kind may have a "
          "SentencePiece .model beside this file, which is read too"};
}

Normalizer normalizer_of(const JsonField& file) {
  return file.has("normalizer") ? Normalizer(file.at("normalizer")) : Normalizer();
}

PreTokenizer pre_tokenizer_of(const JsonField& file) {
  return file.has("pre_tokenizer") ? PreTokenizer(file.at("pre_tokenizer")) : PreTokenizer();
}

AddedTokens added_tokens_of(const JsonField& file, Normalizer& normalizer) {
  return file.has("added_tokens") ? AddedTokens(file.at("added_tokens"), normalizer) : AddedTokens();
}

Unit unit_of(const PreTokenizer& pre_tokenizer) {
  return pre_tokenizer.is_byte_level() ? Unit::byte : Unit::character;
}

[[noreturn]] void refuse(std::string_view text, const PatternGaveUp& pattern) {
  // A text to which a space was added is in another buffer.
  const bool inside = std::greater_equal<>()(pattern.from, text.data()) &&
                      std::less<>()(pattern.from, text.data() + text.size());
  const std::string line =
      inside ? fmt::format(" from line {} of the document", 1 + std::count(text.data(), pattern.from, '\n'))
             : "";
  throw EncodingError(fmt::format("a pattern of the tokenizer gave up{}, on {} bytes of text: {}", line,
                                  pattern.bytes, pattern.message),
                      "the text",
                      "cut the document into shorter ones; long runs of white space are often the cause");
}

class JsonTokenizer final : public Tokenizer {
 public:
  JsonTokenizer(const fs::path& path, const JsonField& file, std::string_view eos)
      : Tokenizer(path),
        normalizer_(normalizer_of(file)),
        pre_tokenizer_(pre_tokenizer_of(file)),
        added_(added_tokens_of(file, normalizer_)),
        vocabulary_(file, added_.all(), unit_of(pre_tokenizer_)),
        decoder_(file, unit_of(pre_tokenizer_)),
        ends_(find_document_ends(path, eos, vocabulary_, added_.all())),
        silent_(static_cast<std::size_t>(vocabulary_.size())),
        llama_cpp_name_(llama_cpp_name(file)) {
    // The library knows special tokens by their spelling in a text, even where that is another token's.
    std::set<std::string_view> special;
    for (const AddedToken& token : added_.all()) {
      if (token.special == Special::yes) special.insert(token.content);
    }
    for (const AddedToken& token : added_.all()) {
      silent_[static_cast<std::size_t>(token.id)] = special.contains(token.spelling);
      if (token.spelling != token.content) respelled_.emplace(token.id, token.spelling);
    }
    if (!vocabulary_.allows_cutting()) return;
    cutter_.emplace();
    for (const Merges::Pair pair : vocabulary_.merges().in_order())
      cutter_->add_piece(vocabulary_.token(pair.left) + vocabulary_.token(pair.right));
  }

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) override;
  [[nodiscard]] std::string token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string first_token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string token_name(std::int32_t id) const override {
    require_id(id);
    return vocabulary_.token(id);
  }
  [[nodiscard]] bool adds_leading_space() const override {
    return normalizer_.adds_space() || pre_tokenizer_.adds_space();
  }
  [[nodiscard]] std::int64_t vocab_size() const override { return vocabulary_.size(); }
  [[nodiscard]] std::optional<std::int32_t> bos_id() const override { return ends_.bos; }
  [[nodiscard]] std::optional<std::int32_t> eos_id() const override { return decided_eos(ends_, path()); }
  [[nodiscard]] std::optional<std::int32_t> unknown_id() const override {
    return vocabulary_.first_symbols().unknown_id();
  }
  [[nodiscard]] VocabularyListing listing() const override;
  [[nodiscard]] std::string_view standard_name() const override { return kTokenizerJsonFile; }
  [[nodiscard]] std::string config_beside() const override { return ends_.config; }

 private:
  void require_id(std::int32_t id) const {
    GRANULE_CHECK(id >= 0 && id < vocab_size(), "id {} of a vocabulary of {}", id, vocab_size());
  }
  // The token as it is in a text before it is decoded.
  [[nodiscard]] const std::string& spelling(std::int32_t id) const {
    const auto found = respelled_.find(id);
    return found == respelled_.end() ? vocabulary_.token(id) : found->second;
  }
  void append_word(std::string_view word, std::vector<std::int32_t>& ids);

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  AddedTokens added_;
  Vocabulary vocabulary_;
  TokenDecoder decoder_;
  DocumentEnds ends_;
  std::vector<bool> silent_;                                 // by id
  std::unordered_map<std::int32_t, std::string> respelled_;  // the added tokens that are normalized
  std::optional<LlamaCppName> llama_cpp_name_;
  std::optional<WordCutter> cutter_;
  std::unordered_map<std::string, std::vector<std::int32_t>, HashText, std::equal_to<>> words_;
};

void JsonTokenizer::append_word(std::string_view word, std::vector<std::int32_t>& ids) {
  if (const auto known = words_.find(word); known != words_.end()) {
    ids.insert(ids.end(), known->second.begin(), known->second.end());
    return;
  }
  const std::size_t first = ids.size();
  vocabulary_.encode_word(word, ids);
  if (word.size() > kMaxCachedBytes) return;
  if (words_.size() == kMaxCachedWords) words_.clear();
  words_.emplace(word, std::vector(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end()));
}

std::vector<std::int32_t> JsonTokenizer::encode(std::string_view text) {
  if (const auto bad = first_invalid_utf8(text))
    throw EncodingError("the text is not UTF-8", fmt::format("byte {}", *bad), "convert it to UTF-8");
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3);
  const PreTokenizer::TakeWord take = [&](std::string_view word) {
    if (!cutter_) return append_word(word, ids);
    cutter_->cut(word, [&](std::string_view part) { append_word(part, ids); });
  };
  try {
    added_.split(
        text, normalizer_,
        [&](std::string_view part, bool starts_document) {
          pre_tokenizer_.split({part, starts_document}, take);
        },
        [&](const AddedToken& token) { ids.push_back(token.id); });
  } catch (const PatternGaveUp& pattern) {
    refuse(text, pattern);
  }
  return ids;
}

std::string JsonTokenizer::token_bytes(std::int32_t id) const {
  require_id(id);
  if (silent_[static_cast<std::size_t>(id)]) return {};
  return decoder_.bytes_of(spelling(id));
}

std::string JsonTokenizer::first_token_bytes(std::int32_t id) const {
  // The library decodes the space that ByteLevel has added. Here a text comes back as it was.
  if (pre_tokenizer_.is_byte_level()) return Tokenizer::first_token_bytes(id);
  return decoder_.first_bytes_of(spelling(id));
}

VocabularyListing JsonTokenizer::listing() const {
  VocabularyListing listing{VocabularyListing::Scheme::merges};
  for (std::int32_t id = 0; id < vocab_size(); ++id) {
    const std::string& token = vocabulary_.token(id);
    listing.pieces.push_back({token, token.empty() ? PieceKind::unused : PieceKind::normal});
  }
  for (const AddedToken& token : added_.all()) {
    listing.pieces[static_cast<std::size_t>(token.id)].kind =
        token.special == Special::yes ? PieceKind::control : PieceKind::user_defined;
  }
  listing.adds_space_prefix = adds_leading_space();
  if (!pre_tokenizer_.is_byte_level()) {
    const Json json = load_json_object(path());
    give_scores(listing, field_of(json, path()), vocabulary_);
    return listing;
  }
  for (const Merges::Pair pair : vocabulary_.merges().in_order())
    listing.merges.push_back(
        fmt::format("{} {}", vocabulary_.token(pair.left), vocabulary_.token(pair.right)));
  if (llama_cpp_name_) {
    listing.llama_cpp_pre_tokenizer = llama_cpp_name_->name;
    listing.caveat = llama_cpp_name_->caveat;
  } else {
    listing.obstacle = "it cuts text into words by rules that llama.cpp does not have";
  }
  return listing;
}

}  // namespace

std::unique_ptr<Tokenizer> open_json_tokenizer(const fs::path& path, std::string_view eos) {
  const Json json = load_json_object(path);
  const JsonField file = field_of(json, path);
  require_bpe(file, path);
  require_known_settings(file);
  return std::make_unique<JsonTokenizer>(path, file, eos);
}

}  // namespace granule
