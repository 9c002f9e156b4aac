// Text to token ids and back: the interface of every kind of tokenizer. data/open_tokenizer.hpp opens one.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "data/files/utf8.hpp"
#include "data/tokenizers/vocabulary_listing.hpp"

namespace granule {

/// The names of a tokenizer's files in the folder of a model or a data set. The config has what the file
/// itself does not say.
inline constexpr std::string_view kSentencePieceFile = "tokenizer.model";
inline constexpr std::string_view kTokenizerJsonFile = "tokenizer.json";
inline constexpr std::string_view kTokenizerConfigFile = "tokenizer_config.json";

/// A SentencePiece model itself says which piece ends documents, or it has none.
inline constexpr std::string_view kNoEosAdvice =
    "documents end with an EOS: train the model with one (spm_train --eos_id=2), or use another tokenizer";

/// A text that cannot be encoded. The code that throws it does not know where the text is from.
class EncodingError : public Error {
 public:
  EncodingError(std::string_view what, std::string_view where, std::string_view advice);
  /// Throws the same error with the place of the text.
  [[noreturn]] void refuse(std::string_view where) const;

 private:
  std::string problem_, advice_;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// The ids of one document, without BOS or EOS. It remembers words, so only one thread may call it. Throws
  /// an EncodingError if `text` is not UTF-8, or if a pattern gives up on it.
  [[nodiscard]] virtual std::vector<std::int32_t> encode(std::string_view text) = 0;
  /// The bytes of an id inside a text. They may be only part of a character, and BOS and EOS have none.
  [[nodiscard]] virtual std::string token_bytes(std::int32_t id) const = 0;
  /// The same for the first id of a text that has bytes, without the space that encode put before it.
  [[nodiscard]] virtual std::string first_token_bytes(std::int32_t id) const;
  /// What the file calls an id: "</s>", "▁the".
  [[nodiscard]] virtual std::string token_name(std::int32_t id) const = 0;
  /// Whether encode adds the space that starts a document.
  [[nodiscard]] virtual bool adds_leading_space() const = 0;
  [[nodiscard]] virtual std::int64_t vocab_size() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> bos_id() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> eos_id() const = 0;
  [[nodiscard]] virtual std::optional<std::int32_t> unknown_id() const = 0;
  /// The whole vocabulary. It is made anew for every call.
  [[nodiscard]] virtual VocabularyListing listing() const = 0;

  /// The name of a copy in the folder of a model or a data set. It does not depend on the name of the file.
  [[nodiscard]] virtual std::string_view standard_name() const = 0;
  /// A tokenizer_config.json that a copy of the file needs to open with the same BOS and EOS. Empty if the
  /// file says everything.
  [[nodiscard]] virtual std::string config_beside() const { return {}; }

  /// The text of a whole document. Bytes that form no character become U+FFFD.
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids) const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The digest by which data and models compare tokenizers (data/tokenizers/special_tokens.hpp).
  [[nodiscard]] const std::string& sha256() const { return sha256_; }

 protected:
  explicit Tokenizer(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  std::string sha256_;
};

enum class TextPosition : std::uint8_t { document_start, inside };

/// Turns ids into text while they are generated. A character appears as soon as it is complete.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, TextPosition position);
  [[nodiscard]] std::string add(std::int32_t id);
  [[nodiscard]] std::string finish();

 private:
  const Tokenizer& tokenizer_;
  Utf8Stream characters_;
  bool at_start_;
};

/// The files of a copy of this tokenizer: itself and, for a tokenizer.json, the tokenizer_config.json in the
/// same folder if there is one.
[[nodiscard]] std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& path);

}  // namespace granule
