#include "data/tokenizers/sentencepiece_tokenizer.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/tokenizers/sentencepiece_spec.hpp"
#include "data/tokenizers/word_cutter.hpp"

#ifdef GRANULE_WITH_SENTENCEPIECE
#include <sentencepiece_processor.h>
#include <xxhash.h>

namespace granule {
namespace {

constexpr std::int64_t kMaxModelBytes = std::int64_t{1} << 28;
constexpr std::size_t kMaxCachedWords = std::size_t{1} << 18;
constexpr std::size_t kMaxCachedBytes = 128;  // longer words rarely occur twice
constexpr std::string_view kSpaceSign = "\u2581";
// Appended to a model, it overrides normalizer_spec.add_dummy_prefix (field 3 of field 3) with false, because
// later parts of a message win. So words inside a document can be encoded without a space before them.
constexpr std::string_view kNoDummyPrefix("\x1a\x02\x18\x00", 4);

struct HashText {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return XXH3_64bits(text.data(), text.size()); }
};

class SentencePieceTokenizer final : public Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::filesystem::path& path);

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) override;
  [[nodiscard]] std::string token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::string token_name(std::int32_t id) const override {
    GRANULE_CHECK(id >= 0 && id < vocab_size(), "id {} of a vocabulary of {}", id, vocab_size());
    return whole_.IdToPiece(id);
  }
  [[nodiscard]] std::string_view standard_name() const override { return kSentencePieceFile; }
  [[nodiscard]] bool adds_leading_space() const override { return spec_.add_dummy_prefix; }
  [[nodiscard]] std::int64_t vocab_size() const override { return whole_.GetPieceSize(); }
  [[nodiscard]] std::optional<std::int32_t> bos_id() const override { return defined(whole_.bos_id()); }
  [[nodiscard]] std::optional<std::int32_t> eos_id() const override { return defined(whole_.eos_id()); }
  [[nodiscard]] std::optional<std::int32_t> unknown_id() const override { return defined(whole_.unk_id()); }
  [[nodiscard]] VocabularyListing listing() const override;

 private:
  static std::optional<std::int32_t> defined(int id) { return id < 0 ? std::nullopt : std::optional(id); }
  void append_word(std::string_view word, std::vector<std::int32_t>& ids);

  std::string model_;  // the bytes of the file
  SentencePieceSpec spec_;
  sentencepiece::SentencePieceProcessor whole_;  // encodes as the model says
  sentencepiece::SentencePieceProcessor part_;   // encodes without a space before the text
  WordCutter cutter_;
  std::unordered_map<std::string, std::vector<std::int32_t>, HashText, std::equal_to<>> words_;
};

void load(sentencepiece::SentencePieceProcessor& processor, const std::string& model,
          const std::filesystem::path& path) {
  if (!model.empty() && processor.LoadFromSerializedProto(model).ok() && processor.GetPieceSize() > 0) return;
  user_error("not a SentencePiece model", path.string(),
             "give a .model, or a BPE tokenizer.json; granule tokenizer train makes one");
}

SentencePieceTokenizer::SentencePieceTokenizer(const std::filesystem::path& path)
    : Tokenizer(path), model_(read_file(path, kMaxModelBytes)) {
  load(whole_, model_, path);
  load(part_, model_ + std::string(kNoDummyPrefix), path);
  spec_ = read_sentencepiece_spec(model_);
  for (int id = 0; id < whole_.GetPieceSize(); ++id) {
    if (!whole_.IsControl(id) && !whole_.IsUnknown(id) && !whole_.IsByte(id))
      cutter_.add_piece(whole_.IdToPiece(id));
  }
}

void SentencePieceTokenizer::append_word(std::string_view word, std::vector<std::int32_t>& ids) {
  if (const auto known = words_.find(word); known != words_.end()) {
    ids.insert(ids.end(), known->second.begin(), known->second.end());
    return;
  }
  std::vector<int> fresh;
  GRANULE_CHECK(part_.Encode(word, &fresh).ok(), "SentencePiece cannot encode a word of {} bytes",
                word.size());
  ids.insert(ids.end(), fresh.begin(), fresh.end());
  if (word.size() > kMaxCachedBytes) return;
  if (words_.size() == kMaxCachedWords) words_.clear();
  words_.emplace(word, std::move(fresh));
}

std::vector<std::int32_t> SentencePieceTokenizer::encode(std::string_view text) {
  if (const auto bad = first_invalid_utf8(text)) {
    throw EncodingError("the text is not UTF-8", fmt::format("byte {}", *bad), "convert it to UTF-8");
  }
  std::vector<std::int32_t> ids;
  if (text.empty()) return ids;
  if (!spec_.allows_cutting()) {
    GRANULE_CHECK(whole_.Encode(text, &ids).ok(), "SentencePiece cannot encode a text of {} bytes",
                  text.size());
    return ids;
  }
  std::string spaced(spec_.add_dummy_prefix ? 1 : 0, ' ');
  spaced += text;
  ids.reserve(text.size() / 3);
  cutter_.cut(spaced, [&](std::string_view word) { append_word(word, ids); });
  return ids;
}

std::string SentencePieceTokenizer::token_bytes(std::int32_t id) const {
  GRANULE_CHECK(id >= 0 && id < vocab_size(), "id {} of a vocabulary of {}", id, vocab_size());
  if (whole_.IsControl(id)) return {};
  if (whole_.IsUnknown(id)) return "\uFFFD";
  std::string_view piece = whole_.IdToPiece(id);
  if (whole_.IsByte(id)) return {static_cast<char>(std::stoi(std::string(piece.substr(3, 2)), nullptr, 16))};
  std::string text;
  while (!piece.empty()) {
    const std::size_t sign = std::min(piece.find(kSpaceSign), piece.size());
    text += piece.substr(0, sign);
    piece.remove_prefix(sign);
    if (piece.empty()) break;
    text += ' ';
    piece.remove_prefix(kSpaceSign.size());
  }
  return text;
}

VocabularyListing SentencePieceTokenizer::listing() const {
  VocabularyListing listing{VocabularyListing::Scheme::scores, read_sentencepiece_pieces(model_)};
  listing.adds_space_prefix = spec_.add_dummy_prefix;
  listing.obstacle = beyond_scores(spec_);
  return listing;
}

}  // namespace

std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& path) {
  return std::make_unique<SentencePieceTokenizer>(path);
}

}  // namespace granule

#else

namespace granule {

std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& path) {
  user_error("this build of granule has no SentencePiece", path.string(),
             "build with -DGRANULE_WITH_SENTENCEPIECE=ON");
}

}  // namespace granule

#endif
