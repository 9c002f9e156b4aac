// Where a text may be cut so that byte-pair encoding of the parts gives the ids of the whole.
// A merge across a border makes a piece that holds the border's two characters side by side; so wherever no
// piece of the vocabulary does, no merge ever crosses, and the two sides merge as if they were alone.
#pragma once
#include <bitset>
#include <cstdint>
#include <string_view>
#include <unordered_set>

namespace granule {

class WordCutter {
 public:
  /// Spaces and U+2581, SentencePiece's sign for them, are the same character.
  void add_piece(std::string_view piece);
  /// Whether some piece holds `left` and `right` side by side.
  [[nodiscard]] bool joins(char32_t left, char32_t right) const;

 private:
  static constexpr char32_t kAscii = 128;
  std::bitset<kAscii * kAscii> ascii_;
  std::unordered_set<std::uint64_t> other_;
};

}  // namespace granule
