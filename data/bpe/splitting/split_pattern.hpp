// Finds a pattern of a tokenizer.json in text. The reference library reads regular expressions as Oniguruma
// does, in its Ruby syntax, and PCRE2 runs them here. If the two differ, the expression is rewritten or
// refused. So an accepted pattern matches the same text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/files/json_field.hpp"

namespace granule {

/// A pattern did not finish on a text within PCRE2's limits.
struct PatternGaveUp {
  std::string message;         ///< the message of PCRE2
  const char* from = nullptr;  ///< where in the text the search began
  std::size_t bytes = 0;       ///< length of the text
};

/// It has its own memory for matching, so only one thread may use it.
class SplitPattern {
 public:
  enum class Kind : std::uint8_t {
    regex,    ///< as the reference library reads it
    literal,  ///< the text itself
    native    ///< in the syntax of PCRE2
  };
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// Errors name `field`. A pattern is refused if it is malformed, matches the empty string, or cannot be
  /// understood as the reference library does.
  SplitPattern(std::string_view pattern, Kind kind, const JsonField& field);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;

  /// The first match that begins at `from` or after it. It is never empty. `text` must be valid UTF-8. Throws
  /// PatternGaveUp.
  [[nodiscard]] std::optional<Match> find(std::string_view text, std::size_t from);

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

/// The pattern of a tokenizer.json: {"Regex": …} or {"String": …}.
[[nodiscard]] SplitPattern read_pattern(const JsonField& field);

/// Whether PCRE2 can compile the pattern.
[[nodiscard]] bool is_pcre2(const std::string& pattern);

/// The expression in the form that PCRE2 needs. See SplitPattern.
[[nodiscard]] std::string pcre2_from_oniguruma(std::string_view pattern, const JsonField& field);

}  // namespace granule
