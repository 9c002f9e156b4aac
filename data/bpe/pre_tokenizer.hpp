// The pre-tokenizer of a tokenizer.json. It cuts text into words, and merges happen only within words.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe/split_pattern.hpp"
#include "data/files/json_field.hpp"

namespace granule {

/// What becomes of the matches of a pattern. The names are those in the file.
enum class SplitBehavior : std::uint8_t {
  isolated,
  removed,
  merged_with_previous,
  merged_with_next,
  contiguous
};

/// ByteLevel, alone or at the end of a Sequence of Split and Digits. It keeps buffers, so only one thread may
/// use it.
class PreTokenizer {
 public:
  /// Throws a user error that names the field for any other kind, and for settings that it does not know.
  explicit PreTokenizer(const JsonField& field);

  using TakeWord = std::function<void(std::string_view)>;
  /// Calls `take` for each word of valid UTF-8 text, in order. A word is valid until `take` returns.
  void split(std::string_view text, const TakeWord& take) { split_from(0, text, take); }
  /// Whether ByteLevel adds a space before text that does not begin with one.
  [[nodiscard]] bool adds_space() const { return adds_space_; }

 private:
  struct Part {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool matched = false;
  };
  struct Stage {
    SplitPattern pattern;
    SplitBehavior behavior = SplitBehavior::isolated;
    bool inverted = false;
    std::vector<Part> parts = {};
  };
  void read(const JsonField& field);
  void read_split(const JsonField& field);
  void read_byte_level(const JsonField& field);
  void split_from(std::size_t stage, std::string_view text, const TakeWord& take);
  static void find_parts(Stage& stage, std::string_view text);
  static void arrange(SplitBehavior behavior, std::vector<Part>& parts);

  std::vector<Stage> stages_;
  bool byte_level_ = false;  // ByteLevel has been read
  bool adds_space_ = false;
  std::size_t space_before_ = 0;  // the first stage that sees the added space
};

}  // namespace granule
