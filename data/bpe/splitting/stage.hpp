// One step of a pre-tokenizer. It cuts text into smaller pieces, and may change them.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/bpe/splitting/split_pattern.hpp"

namespace granule {

struct SplitPiece {
  std::string_view text;
  bool starts_document = false;  ///< whether its first character is the first one of the document
};

/// It keeps buffers, so only one thread may use it.
class SplitStage {
 public:
  using Take = std::function<void(const SplitPiece&)>;

  SplitStage() = default;
  virtual ~SplitStage() = default;
  SplitStage(const SplitStage&) = delete;
  SplitStage& operator=(const SplitStage&) = delete;
  /// Calls `take` for each part of a piece, in order. A part is valid until `take` returns, and never empty.
  virtual void split(const SplitPiece& piece, const Take& take) = 0;
};

/// What becomes of the matches of a pattern. The names are those in the file.
enum class SplitBehavior : std::uint8_t {
  isolated,
  removed,
  merged_with_previous,
  merged_with_next,
  contiguous
};

enum class Inverted : std::uint8_t { no, yes };  ///< yes: what is between the matches counts as matches

[[nodiscard]] std::unique_ptr<SplitStage> split_at(SplitPattern pattern, SplitBehavior behavior,
                                                   Inverted inverted = Inverted::no);

/// Puts a space before a piece that does not begin with one.
[[nodiscard]] std::unique_ptr<SplitStage> space_before();

/// Writes every byte as the character that byte-level BPE has for it.
[[nodiscard]] std::unique_ptr<SplitStage> spell_bytes();

enum class Prefix : std::uint8_t { never, first, always };  ///< before no piece, the document's first, or all

/// Writes spaces as another character, and puts it before pieces that do not begin with it. If there is a
/// `pattern` that finds this character, the pieces are cut before each.
[[nodiscard]] std::unique_ptr<SplitStage> write_spaces_as(std::string sign, Prefix prefix,
                                                          std::optional<SplitPattern> pattern);

}  // namespace granule
