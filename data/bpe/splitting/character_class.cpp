#include "data/bpe/splitting/character_class.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace granule {
namespace {

struct CharacterSet;

// What is between two &&: what stands there directly, and the brackets inside.
struct Operand {
  std::string plain;
  std::vector<CharacterSet> inner;
};

struct CharacterSet {
  bool negated = false;
  std::vector<Operand> operands;  // a character is in all of them
};

// \W, which cannot be among the plain ones.
CharacterSet no_word() {
  CharacterSet set;
  set.negated = true;
  set.operands.emplace_back().plain = "\\w";
  return set;
}

class Parser {
 public:
  Parser(std::string_view text, const RefuseClass& refuse) : rest_(text), refuse_(refuse) {}

  CharacterSet parse() {
    CharacterSet set;
    rest_.remove_prefix(1);
    set.negated = take("^");
    if (rest_.starts_with(']')) refuse_("a ] that begins the brackets");
    set.operands.emplace_back();
    while (!rest_.empty() && !take("]")) {
      Operand& operand = set.operands.back();
      if (take("&&")) {
        set.operands.emplace_back();
      } else if (rest_.starts_with("[:")) {
        refuse_("[: inside of brackets");
      } else if (rest_.starts_with('[')) {
        operand.inner.push_back(parse());
        after_inner_ = true;
      } else if (take("\\W")) {
        operand.inner.push_back(no_word());
        after_inner_ = true;
      } else {
        take_character(operand);
        after_inner_ = false;
      }
    }
    const bool empty = std::ranges::any_of(
        set.operands, [](const Operand& operand) { return operand.plain.empty() && operand.inner.empty(); });
    if (empty) refuse_("nothing beside &&");
    return set;
  }

 private:
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  // A - that begins or ends an operand means itself. It may no longer be at the edge when operands are put
  // together, and neither may a ^.
  void take_character(Operand& operand) {
    const char c = rest_.front();
    if (c == '\\') {
      std::size_t size = 2;
      // The braces of a property or of a code point belong to it.
      if (rest_.size() > 2 && rest_[2] == '{') size = std::min(rest_.find('}'), rest_.size() - 1) + 1;
      operand.plain += rest_.substr(0, size);
      rest_.remove_prefix(std::min(size, rest_.size()));
      return;
    }
    rest_.remove_prefix(1);
    const bool at_edge = operand.plain.empty() || after_inner_ || rest_.starts_with(']') ||
                         rest_.starts_with('[') || rest_.starts_with("&&");
    if (c == '^' || (c == '-' && at_edge)) operand.plain += '\\';
    operand.plain += c;
  }

  std::string_view rest_;
  const RefuseClass& refuse_;
  bool after_inner_ = false;  // brackets have just ended
};

bool is_plain(const CharacterSet& set) {
  return set.operands.size() == 1 && set.operands.front().inner.empty();
}

// Positive plain brackets inside of others mean the same without their brackets.
void flatten(CharacterSet& set) {
  for (Operand& operand : set.operands) {
    for (CharacterSet& inner : operand.inner) flatten(inner);
    std::erase_if(operand.inner, [&](const CharacterSet& inner) {
      if (inner.negated || !is_plain(inner)) return false;
      operand.plain += inner.operands.front().plain;
      return true;
    });
  }
}

class Writer {
 public:
  explicit Writer(const TranslatePlainClass& translate) : translate_(translate) {}

  [[nodiscard]] std::string write(const CharacterSet& set) const {
    if (is_plain(set))
      return translate_(fmt::format("[{}{}]", set.negated ? "^" : "", set.operands.front().plain));
    const std::string members = all_of(set.operands);
    return set.negated ? fmt::format("(?:(?!{}){})", members, kAny) : members;
  }

 private:
  static constexpr std::string_view kAny = "[\\x{0}-\\x{10ffff}]";

  [[nodiscard]] static bool only_excludes(const Operand& operand) {
    return operand.plain.empty() && operand.inner.size() == 1 && operand.inner.front().negated;
  }

  [[nodiscard]] std::string all_of(const std::vector<Operand>& operands) const {
    if (operands.size() == 1) return any_of(operands.front());
    std::string conditions, taken;
    for (const Operand& operand : operands) {
      if (only_excludes(operand)) {
        CharacterSet excluded = operand.inner.front();
        excluded.negated = false;
        conditions += fmt::format("(?!{})", write(excluded));
      } else if (taken.empty()) {
        taken = any_of(operand);
      } else {
        conditions += fmt::format("(?={})", any_of(operand));
      }
    }
    return fmt::format("(?:{}{})", conditions, taken.empty() ? kAny : taken);
  }

  [[nodiscard]] std::string any_of(const Operand& operand) const {
    std::vector<std::string> choices;
    if (!operand.plain.empty()) choices.push_back(translate_(fmt::format("[{}]", operand.plain)));
    for (const CharacterSet& inner : operand.inner) choices.push_back(write(inner));
    if (choices.size() == 1) return choices.front();
    return fmt::format("(?:{})", fmt::join(choices, "|"));
  }

  const TranslatePlainClass& translate_;
};

}  // namespace

std::size_t length_of_class(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '[') {
      ++depth;
    } else if (text[at] == ']' && --depth == 0) {
      return at + 1;
    }
  }
  return 0;
}

bool is_nested_class(std::string_view brackets) {
  for (std::size_t at = 1; at < brackets.size(); ++at) {
    if (brackets[at] == '[' || brackets.substr(at, 2) == "&&" || brackets.substr(at, 2) == "\\W") return true;
    if (brackets[at] == '\\') ++at;
  }
  return false;
}

std::string flat_class(std::string_view brackets, const TranslatePlainClass& translate,
                       const RefuseClass& refuse) {
  CharacterSet set = Parser(brackets, refuse).parse();
  flatten(set);
  return Writer(translate).write(set);
}

}  // namespace granule
