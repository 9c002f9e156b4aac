#include "data/bpe/json_tokenizer.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "core/error.hpp"
#include "data/bpe/added_tokens.hpp"
#include "data/bpe/byte_alphabet.hpp"
#include "data/bpe/document_ends.hpp"
#include "data/bpe/llama_cpp_name.hpp"
#include "data/bpe/pre_tokenizer.hpp"
#include "data/bpe/vocabulary.hpp"
#include "data/files/strict_json.hpp"

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

bool is_normal_form(const std::string& type) {
  return type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD";
}

// An empty Sequence does nothing, even if Sequences are nested.
void require_no_normalizer(const JsonField& field) {
  const JsonField kind = field.at("type");
  const std::string type = kind.text();
  if (is_normal_form(type)) {
    user_error(fmt::format("{} is {}, which changes text; it is not known here", kind.name(), type),
               field.file(),
               fmt::format("bring the texts into {0} yourself, and give a copy of this file with "
                           "\"normalizer\": null: its ids are the same on text in {0}",
                           type));
  }
  if (type != "Sequence") kind.refuse(fmt::format("is {}, which changes text; it is not known here", type));
  const JsonField all = field.at("normalizers");
  for (std::size_t i = 0; i < all.list_size(); ++i) require_no_normalizer(all.element(i));
}

void require_byte_level_decoder(const JsonField& field) {
  const std::string type = field.at("type").text();
  if (type != "Sequence" && type != "ByteLevel")
    field.at("type").refuse(fmt::format("is {}, only ByteLevel is read", type));
  if (type == "ByteLevel") return;
  const JsonField all = field.at("decoders");
  for (std::size_t i = 0; i < all.list_size(); ++i) require_byte_level_decoder(all.element(i));
}

void require_known_settings(const JsonField& file) {
  if (file.has("normalizer")) require_no_normalizer(file.at("normalizer"));
  if (file.has("decoder")) require_byte_level_decoder(file.at("decoder"));
  if (file.has("truncation")) file.at("truncation").refuse("is set, which would cut documents off");
  if (file.has("padding")) file.at("padding").refuse("is set, which would lengthen documents");
  if (!file.has("pre_tokenizer")) file.refuse("has no pre_tokenizer, so it is not byte-level BPE");
}

JsonField field_of(const Json& json, const fs::path& path) {
  return {
      json, path.string(),
      "byte-level BPE is read (GPT-2, DeepSeek, Llama 3); a model of another kind may have a SentencePiece "
      ".model beside this file, which is read too"};
}

AddedTokens added_tokens_of(const JsonField& file) {
  return file.has("added_tokens") ? AddedTokens(file.at("added_tokens")) : AddedTokens();
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
        added_(added_tokens_of(file)),
        vocabulary_(file, added_.all()),
        pre_tokenizer_(file.at("pre_tokenizer")),
        ends_(find_document_ends(path, eos, vocabulary_, added_.all())),
        silent_(static_cast<std::size_t>(vocabulary_.size())),
        llama_cpp_name_(llama_cpp_name(file)) {
    for (const AddedToken& token : added_.all())
      silent_[static_cast<std::size_t>(token.id)] = token.special == Special::yes;
  }

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) override;
  [[nodiscard]] std::string token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string token_name(std::int32_t id) const override {
    require_id(id);
    return vocabulary_.token(id);
  }
  [[nodiscard]] bool adds_leading_space() const override { return pre_tokenizer_.adds_space(); }
  [[nodiscard]] std::int64_t vocab_size() const override { return vocabulary_.size(); }
  [[nodiscard]] std::optional<std::int32_t> bos_id() const override { return ends_.bos; }
  [[nodiscard]] std::optional<std::int32_t> eos_id() const override { return ends_.eos; }
  [[nodiscard]] std::optional<std::int32_t> unknown_id() const override { return vocabulary_.unknown_id(); }
  [[nodiscard]] VocabularyListing listing() const override;
  [[nodiscard]] std::string_view standard_name() const override { return kTokenizerJsonFile; }
  [[nodiscard]] std::string config_beside() const override { return ends_.config; }

 private:
  void require_id(std::int32_t id) const {
    GRANULE_CHECK(id >= 0 && id < vocab_size(), "id {} of a vocabulary of {}", id, vocab_size());
  }
  void append_word(std::string_view word, std::vector<std::int32_t>& ids);

  AddedTokens added_;
  Vocabulary vocabulary_;
  PreTokenizer pre_tokenizer_;
  DocumentEnds ends_;
  std::vector<bool> silent_;  // by id
  std::optional<std::string> llama_cpp_name_;
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
  const PreTokenizer::TakeWord word = [&](std::string_view bytes) { append_word(bytes, ids); };
  try {
    added_.split(
        text, [&](std::string_view part) { pre_tokenizer_.split(part, word); },
        [&](const AddedToken& token) { ids.push_back(token.id); });
  } catch (const PatternGaveUp& pattern) {
    refuse(text, pattern);
  }
  return ids;
}

std::string JsonTokenizer::token_bytes(std::int32_t id) const {
  require_id(id);
  if (silent_[static_cast<std::size_t>(id)]) return {};
  const std::string& token = vocabulary_.token(id);
  return bytes_of_token(token).value_or(token);
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
  for (const Merges::Pair pair : vocabulary_.merges().in_order())
    listing.merges.push_back(
        fmt::format("{} {}", vocabulary_.token(pair.left), vocabulary_.token(pair.right)));
  listing.adds_space_prefix = pre_tokenizer_.adds_space();
  listing.llama_cpp_pre_tokenizer = llama_cpp_name_;
  if (!llama_cpp_name_) listing.obstacle = "it cuts text into words by rules that llama.cpp does not have";
  return listing;
}

}  // namespace

std::unique_ptr<Tokenizer> open_json_tokenizer(const fs::path& path, std::string_view eos) {
  const Json json = load_json_object(path);
  const JsonField file = field_of(json, path);
  require_known_settings(file);
  return std::make_unique<JsonTokenizer>(path, file, eos);
}

}  // namespace granule
