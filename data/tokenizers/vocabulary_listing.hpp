// Everything that a tokenizer says about its vocabulary, for files of other programs. GGUF is one of them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace granule {

/// The kinds of SentencePiece. A special token of a tokenizer.json is control, any other added token is
/// user_defined, and an id that the file does not have is unused.
enum class PieceKind : std::uint8_t { normal, unknown, control, user_defined, unused, byte };

struct ListedPiece {
  std::string text;  ///< as the file spells it: "▁the", "Ġthe", "<0x0A>". Empty if the file has no such id
  PieceKind kind = PieceKind::normal;
  float score =
      0;  ///< of SentencePiece. Two pieces are joined if their text is a piece, the best score first
};

struct VocabularyListing {
  /// How a word becomes pieces. llama.cpp calls the first one "llama" and the second one "gpt2".
  enum class Scheme : std::uint8_t { scores, merges };

  Scheme scheme = Scheme::scores;
  std::vector<ListedPiece> pieces{};  ///< by id
  std::vector<std::string> merges{};  ///< "left right", in their order. Only with Scheme::merges
  bool adds_space_prefix = false;     ///< whether a space is put before a text
  /// What llama.cpp calls the rules that cut text into words ("tokenizer.ggml.pre"). Only with
  /// Scheme::merges, and absent if it knows no such rules.
  std::optional<std::string> llama_cpp_pre_tokenizer{};
  /// Why llama.cpp would find other ids than this tokenizer: "it is a Unigram model". Empty if there is no
  /// reason.
  std::string obstacle{};
  /// What llama.cpp does differently with some texts, as it does with the published models of this family.
  /// Empty if nothing is known.
  std::string caveat{};
};

}  // namespace granule
