// The pre-tokenizer of a tokenizer.json. It cuts text into words, and merges happen only within words.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe/splitting/stage.hpp"
#include "data/files/json_field.hpp"

namespace granule {

/// All kinds but UnicodeScripts, alone or in a Sequence. It keeps buffers, so only one thread may use it.
class PreTokenizer {
 public:
  PreTokenizer() = default;  ///< a text is one word
  /// Throws a user error that names the field for a kind or a setting that it does not know.
  explicit PreTokenizer(const JsonField& field);

  using TakeWord = std::function<void(std::string_view)>;
  /// Calls `take` for each word of valid UTF-8 text, in order. A word is valid until `take` returns.
  void split(const SplitPiece& piece, const TakeWord& take) { split_from(0, piece, take); }
  /// Whether it puts a space before a document that does not begin with one.
  [[nodiscard]] bool adds_space() const { return adds_space_; }
  /// Whether the tokens of the model are spelled in the alphabet of bytes. Its words are the bytes
  /// themselves.
  [[nodiscard]] bool is_byte_level() const { return byte_level_; }

 private:
  void read(const JsonField& field);
  void read_byte_level(const JsonField& field);
  void read_metaspace(const JsonField& field);
  void split_from(std::size_t stage, const SplitPiece& piece, const TakeWord& take);

  std::vector<std::unique_ptr<SplitStage>> stages_;
  bool byte_level_ = false;
  bool spelled_ = false;  // words arrive at the end in the alphabet of bytes
  bool adds_space_ = false;
};

}  // namespace granule
