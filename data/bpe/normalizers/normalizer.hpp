// The normalizer of a tokenizer.json. It changes text before anything cuts it.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/json_field.hpp"

namespace granule {

/// A part of a document on its way to words.
struct TextPart {
  std::string text{};
  bool starts_document = false;  ///< whether its first character is the first one of the document
  std::size_t most_bytes = 0;    ///< how long it may become
};

/// One kind of normalizer. It may keep a pattern, so only one thread may use it.
class NormalizerStep {
 public:
  NormalizerStep() = default;
  virtual ~NormalizerStep() = default;
  NormalizerStep(const NormalizerStep&) = delete;
  NormalizerStep& operator=(const NormalizerStep&) = delete;
  /// `part.text` is valid UTF-8 and not empty.
  virtual void apply(TextPart& part) = 0;
};

/// NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend and Replace, alone or in a Sequence.
class Normalizer {
 public:
  Normalizer() = default;  ///< changes nothing
  /// Throws a user error that names the field for any other kind.
  explicit Normalizer(const JsonField& field);

  /// Throws an EncodingError if the text becomes more than a hundred times as long, and longer than 1 MiB.
  void apply(TextPart& part);
  [[nodiscard]] bool changes_nothing() const { return steps_.empty(); }
  /// Whether a space, or SentencePiece's sign for it, is put before every text.
  [[nodiscard]] bool adds_space() const { return adds_space_; }

 private:
  void read(const JsonField& field);

  std::vector<std::unique_ptr<NormalizerStep>> steps_;
  bool adds_space_ = false;
};

}  // namespace granule
