// What a SentencePiece model file (a protocol buffer) contains: its pieces, and the settings that decide how
// text may be cut into words. SentencePiece's own interface does not show all of it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/vocabulary_listing.hpp"

namespace granule {

struct SentencePieceSpec {
  bool bpe = false;
  bool byte_fallback = false;
  bool plain_text = true;  ///< no normalisation: every character stays as it is
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool treat_whitespace_as_suffix = false;

  /// Whether encoding the pieces of a text separately can give the same ids as encoding it as a whole.
  [[nodiscard]] bool allows_cutting() const {
    return bpe && byte_fallback && plain_text && !remove_extra_whitespaces && escape_whitespaces &&
           !treat_whitespace_as_suffix;
  }
};

/// Reads a model that SentencePiece has accepted. Throws a user error if it makes no sense nevertheless.
[[nodiscard]] SentencePieceSpec read_sentencepiece_spec(std::string_view model);

/// All pieces of such a model, by id.
[[nodiscard]] std::vector<ListedPiece> read_sentencepiece_pieces(std::string_view model);

/// Why a program that only joins pieces by their score would find other ids. Empty if there is no reason.
[[nodiscard]] std::string beyond_scores(const SentencePieceSpec& spec);

}  // namespace granule
