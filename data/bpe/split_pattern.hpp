// A pattern of a tokenizer.json, found in text. The reference library reads regular expressions as Oniguruma
// does, in its Ruby syntax; PCRE2 runs them here. Where the two differ the expression is rewritten, and what
// cannot be is refused, so that a pattern that is accepted matches the same text.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "data/files/json_field.hpp"

namespace granule {

/// A pattern did not come to an end on a text within PCRE2's limits.
struct PatternGaveUp {
  std::string message;         ///< PCRE2's
  const char* from = nullptr;  ///< where in the text it began to look
  std::size_t bytes = 0;       ///< of the text
};

/// Uses memory of its own to match: not for several threads at once.
class SplitPattern {
 public:
  enum class Kind : std::uint8_t { regex, literal };
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
  };

  /// `field` is what errors name: a pattern that is malformed, matches the empty string, or is not understood
  /// here as it is there.
  SplitPattern(std::string_view pattern, Kind kind, const JsonField& field);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;

  /// The first match that begins at `from` or behind it; never empty. `text` is valid UTF-8. Throws
  /// PatternGaveUp.
  [[nodiscard]] std::optional<Match> find(std::string_view text, std::size_t from);

 private:
  struct Machine;
  std::unique_ptr<Machine> machine_;
};

/// Whether PCRE2 can compile it.
[[nodiscard]] bool is_pcre2(const std::string& pattern);

/// The expression as PCRE2 has to be given it. See SplitPattern.
[[nodiscard]] std::string pcre2_from_oniguruma(std::string_view pattern, const JsonField& field);

}  // namespace granule
