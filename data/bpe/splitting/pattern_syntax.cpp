#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "data/bpe/splitting/character_class.hpp"
#include "data/bpe/splitting/split_pattern.hpp"

namespace granule {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdefABCDEF";
// What \w means to Oniguruma. Outside of brackets it has the numbers of Latin-1 too, which are no digits.
constexpr std::string_view kWordInBrackets = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr std::string_view kIgnoresCase = "(?i:";
constexpr std::string_view kGroups[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", kIgnoresCase};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// If case is ignored, Oniguruma also takes ss for ß, st for ﬆ and ff for ﬀ. These are two letters for one
// character whose capital or small form they are. PCRE2 folds single characters alone. So an expression that
// could match such a pair is refused, and so is any character outside ASCII.
class FoldedText {
 public:
  /// What Oniguruma may read differently once `c` follows in the expression; empty if nothing.
  [[nodiscard]] std::string_view add(char c) {
    if (static_cast<unsigned char>(c) >= 0x80) return "a character outside of ASCII where case is ignored";
    // The letters before and after it may still match side by side.
    if (std::string_view("?:()").find(c) != std::string_view::npos) return {};
    const bool repeated = std::string_view("*+{").find(c) != std::string_view::npos;
    const char before = std::exchange(last_, is_letter(c) ? static_cast<char>(c | 0x20) : '\0');
    if (repeated && (before == 's' || before == 'f')) return "ss or ff where case is ignored";
    for (const std::string_view pair : {"ss", "st", "ff", "fi", "fl"}) {
      if (before == pair[0] && last_ == pair[1]) return "ss, st, ff, fi or fl where case is ignored";
    }
    return {};
  }
  /// Call it when something follows that is not a character.
  void interrupt() { last_ = '\0'; }

 private:
  char last_ = '\0';  // the previous letter, as a small letter
};

// Rewrites one expression from left to right.
class Translator {
 public:
  Translator(std::string_view pattern, const JsonField& field) : rest_(pattern), field_(field) {}

  std::string translate() {
    while (!rest_.empty()) {
      if (rest_.front() == '\\') {
        escape();
      } else if (in_class_) {
        class_character();
      } else {
        character();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    field_.refuse(fmt::format("has {}, which may mean something else here than where it was made", what));
  }
  void copy(std::size_t bytes) {
    out_ += rest_.substr(0, bytes);
    rest_.remove_prefix(std::min(bytes, rest_.size()));
  }
  void replace(std::size_t bytes, std::string_view text) {
    out_ += text;
    rest_.remove_prefix(bytes);
  }

  void class_character() {
    if (rest_.front() == ']') in_class_ = false;
    if (folds_ && static_cast<unsigned char>(rest_.front()) >= 0x80) fold(rest_.front());
    copy(1);
  }
  void fold(char c) {
    if (const std::string_view problem = text_.add(c); !problem.empty()) refuse(problem);
  }

  void nested_class(std::string_view brackets) {
    if (folds_) refuse("brackets inside of brackets where case is ignored");
    const auto translate = [&](std::string_view plain) { return Translator(plain, field_).translate(); };
    replace(brackets.size(), flat_class(brackets, translate, [&](std::string_view what) { refuse(what); }));
  }

  void open_class() {
    const std::string_view brackets = rest_.substr(0, length_of_class(rest_));
    if (is_nested_class(brackets)) return nested_class(brackets);
    if (folds_ && rest_.size() > 2 && is_letter(rest_[1]) && rest_[2] == ']')
      refuse("brackets of one letter where case is ignored");  // for Oniguruma it is the letter itself
    in_class_ = true;
    text_.interrupt();
    copy(rest_.starts_with("[^") ? 2 : 1);
    if (rest_.starts_with(']')) refuse("a ] that begins the brackets");
  }

  void character() {
    const char c = rest_.front();
    if (c == '[') return open_class();
    if (rest_.starts_with("(?")) return group();
    if (rest_.starts_with("(*")) refuse("(*");
    // For Oniguruma }+ repeats the repetition, and for PCRE2 it makes a repetition that never gives back.
    if (rest_.starts_with("}+")) refuse("}+");
    if (rest_.starts_with("{,")) refuse("{,");
    if (folds_) fold(c);
    if (c == '(') open_group(folds_);
    if (c == ')') close_group();
    copy(1);
  }

  void open_group(bool folds) {
    groups_.push_back(folds_);
    folds_ = folds;
  }
  void close_group() {
    if (groups_.empty()) return;  // malformed; the compiler will say so
    folds_ = groups_.back();
    groups_.pop_back();
    if (!folds_) text_.interrupt();
  }

  void group() {
    for (const std::string_view known : kGroups) {
      if (!rest_.starts_with(known)) continue;
      open_group(folds_ || known == kIgnoresCase);
      return copy(known.size());
    }
    refuse(rest_.substr(0, 4));
  }

  void escape() {
    if (rest_.size() < 2) return copy(1);  // malformed; the compiler will say so
    const char c = rest_[1];
    if (folds_) folded_escape(c);
    switch (c) {
      case 's':
        return replace(2, "\\p{White_Space}");  // PCRE2's own \s also has U+180E
      case 'S':
        return replace(2, "\\P{White_Space}");
      case 'v':
        return replace(2, "\\x{0b}");
      case 'w':
        return replace(2, in_class_ ? std::string(kWordInBrackets) : fmt::format("[{}]", kWord));
      case 'W':
        return replace(2, fmt::format("[^{}]", kWord));
      case 'b':
      case 'B':
        return word_border(c);
      case 'h':
        return replace(2, in_class_ ? "0-9a-fA-F" : "[0-9a-fA-F]");
      case 'p':
      case 'P':
        return property();
      case 'x':
        return code_point_in_hex();
      case 'u':
        return four_digits();
      default:
        break;
    }
    constexpr std::string_view kSame = "dDntrfae", kSameOutside = "Az";
    const bool same = kSame.find(c) != std::string_view::npos ||
                      (!in_class_ && kSameOutside.find(c) != std::string_view::npos);
    if (!same && (is_letter(c) || kDigits.find(c) != std::string_view::npos)) refuse(rest_.substr(0, 2));
    copy(2);
  }

  void word_border(char c) {
    if (in_class_) refuse(rest_.substr(0, 2));
    const std::string_view after = c == 'b' ? "!" : "=", before = c == 'b' ? "=" : "!";
    replace(2, fmt::format("(?:(?<=[{0}])(?{1}[{0}])|(?<![{0}])(?{2}[{0}]))", kWord, after, before));
  }

  // Classes of characters would include ß and similar characters. Outside brackets, \S and \D are not folded.
  void folded_escape(char c) {
    if (std::string_view("pPuxXwW").find(c) != std::string_view::npos ||
        (in_class_ && (c == 'S' || c == 'D')))
      refuse(fmt::format("{} where case is ignored", rest_.substr(0, 2)));
    text_.interrupt();
  }

  // \x{1F40B}, or \x41. For Oniguruma the short form is a byte from 80 on, and not a character.
  void code_point_in_hex() {
    if (rest_.starts_with("\\x{")) return copy(3);
    const std::string_view digits = rest_.substr(2, 2);
    const bool ascii = digits.size() == 2 && digits.find_first_not_of(kHexDigits) == std::string_view::npos &&
                       digits.front() < '8';
    if (!ascii) refuse(rest_.substr(0, 4));
    copy(4);
  }
  void four_digits() {
    const std::string_view digits = rest_.substr(2, 4);
    if (digits.size() != 4 || digits.find_first_not_of(kHexDigits) != std::string_view::npos) refuse("\\u");
    replace(6, fmt::format("\\x{{{}}}", digits));
  }

  // For Oniguruma a script's name means the characters' own script. For PCRE2 the bare name means the scripts
  // that they occur in.
  void property() {
    const std::size_t close = rest_.find('}');
    if (!rest_.substr(2).starts_with('{') || close == std::string_view::npos) return copy(2);
    const std::string_view name = rest_.substr(3, close - 3);
    const bool negated = name.starts_with('^');
    const std::string_view bare = name.substr(negated ? 1 : 0);
    const std::string as_script = fmt::format("\\p{{sc:{}}}", bare);
    if (bare.size() > 2 && is_pcre2(as_script)) {
      return replace(close + 1, fmt::format("\\{}{{{}sc:{}}}", rest_[1], negated ? "^" : "", bare));
    }
    copy(close + 1);
  }

  std::string_view rest_;
  const JsonField& field_;
  std::string out_;
  bool in_class_ = false;
  bool folds_ = false;  // inside (?i:
  FoldedText text_;
  std::vector<bool> groups_;  // for each open group, whether folds_ was set outside it
};

}  // namespace

std::string pcre2_from_oniguruma(std::string_view pattern, const JsonField& field) {
  return Translator(pattern, field).translate();
}

}  // namespace granule
