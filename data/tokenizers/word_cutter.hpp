// Where a text may be cut so that byte-pair encoding of the parts gives the ids of the whole. A merge across
// a border makes a piece that has the border's two characters side by side. So if no piece of the vocabulary
// has them, no merge crosses the border, and the two sides merge independently.
#pragma once
#include <bitset>
#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_set>

namespace granule {

class WordCutter {
 public:
  /// Spaces and U+2581, SentencePiece's sign for them, count as the same character.
  void add_piece(std::string_view piece);
  /// Whether some piece has `left` and `right` side by side.
  [[nodiscard]] bool joins(char32_t left, char32_t right) const;
  /// Calls `take` for each part of a text in valid UTF-8, in order.
  void cut(std::string_view text, const std::function<void(std::string_view)>& take) const;

 private:
  static constexpr char32_t kAscii = 128;
  std::bitset<kAscii * kAscii> ascii_;
  std::unordered_set<std::uint64_t> other_;
};

}  // namespace granule
