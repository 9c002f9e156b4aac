#include "data/bpe/llama_cpp_name.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace granule {
namespace {

using Json = nlohmann::json;

// The rules of one pre-tokenizer, in their order. A regular expression stands for a Split that isolates its
// matches. The words below stand for other kinds.
using Rules = std::vector<std::string>;
constexpr std::string_view kBytes = "ByteLevel";  // without a pattern of its own
constexpr std::string_view kBytesAndWords = "ByteLevel with its pattern";
constexpr std::string_view kDigitsAlone = "Digits alone";
constexpr std::string_view kDigitsTogether = "Digits together";
constexpr std::string_view kPunctuation = "Punctuation together";

constexpr std::string_view kThreeDigits =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kHanAndKana = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr std::string_view kHanAndHangul = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
constexpr std::string_view kNotBloom = " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+";

enum class WholeWords : std::uint8_t { no, yes, either };  // ignore_merges of the model

// Tried with llama.cpp of node-llama-cpp 3.22.1 on hundreds of odd texts: the rules without a difference have
// the same ids and texts, as far as there are published vocabularies of them.
enum class Difference : std::uint8_t { none, spaces, marks };

struct Known {
  std::string_view name;
  WholeWords whole_words = WholeWords::no;
  std::array<std::string_view, 7> rules;  // up to the first empty one
  Difference difference = Difference::none;
};

// The names and their rules are in llama.cpp's src/llama-vocab.cpp. Where several names have the same rules,
// it is one that leaves decoded text as it is, except for GPT-2's own.
constexpr std::array kKnown{
    Known{"gpt-2", WholeWords::no, {kBytesAndWords}, Difference::spaces},
    Known{"smollm", WholeWords::no, {kDigitsAlone, kBytesAndWords}},
    Known{"falcon",
          WholeWords::no,
          {kPunctuation, kBytesAndWords, kDigitsTogether, "[0-9][0-9][0-9]"},
          Difference::spaces},
    Known{"llama-bpe", WholeWords::yes, {kThreeDigits, kBytes}, Difference::spaces},
    Known{"dbrx", WholeWords::no, {kThreeDigits, kBytes}, Difference::spaces},
    Known{"qwen2",
          WholeWords::no,
          {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
           R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           kBytes}},
    Known{"qwen35",
          WholeWords::no,
          {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N})"
           R"(| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           kBytes}},
    Known{"tekken",
          WholeWords::yes,
          {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
           R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N})"
           R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           kBytes},
          Difference::marks},
    Known{"gpt-4o",
          WholeWords::either,
          {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
           R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
           R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           kBytes},
          Difference::marks},
    Known{"kimi-k2",
          WholeWords::either,
          {R"([\p{Han}]+)"
           R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
           R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
           R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
           R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
           R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           kBytes}},
    Known{"bloom", WholeWords::no, {kNotBloom, kBytes}, Difference::spaces},
    Known{"viking", WholeWords::no, {kNotBloom, kDigitsAlone, kBytes}},
    Known{"deepseek-coder",
          WholeWords::no,
          {"[\r\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kHanAndHangul, kDigitsAlone, kBytes}},
    Known{"deepseek-v3",
          WholeWords::no,
          {R"(\p{N}{1,3})", kHanAndKana,
           R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
           R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
           kBytes}},
};

// Some files spell a line end with two characters, \ and n, and others have the line end itself.
std::string with_line_ends(std::string_view pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool escape = pattern[i] == '\\' && i + 1 < pattern.size();
    if (escape && (pattern[i + 1] == 'r' || pattern[i + 1] == 'n')) {
      text += pattern[++i] == 'r' ? '\r' : '\n';
    } else {
      text += pattern[i];
      if (escape) text += pattern[++i];
    }
  }
  return text;
}

bool flag(const Json& part, const char* key, bool otherwise) {
  const Json value = part.value(key, Json(otherwise));
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

// Only of a Split that cuts as one with Isolated does. If everything else is removed, the expression has to
// match any text as a whole.
std::optional<std::string> rule_of_split(const Json& split) {
  const Json& pattern = split.at("pattern");
  if (!pattern.contains("Regex")) return std::nullopt;
  const std::string regex = pattern.at("Regex"), behavior = split.at("behavior");
  const bool keeps_matches =
      behavior == "Removed" && flag(split, "invert", false) && regex.ends_with("|\\s+");
  if (behavior != "Isolated" && !keeps_matches) return std::nullopt;
  return with_line_ends(regex);
}

std::optional<std::string> rule_of(const Json& part) {
  const std::string type = part.at("type");
  if (type == "Split") return rule_of_split(part);
  if (type == "Digits")
    return std::string(flag(part, "individual_digits", false) ? kDigitsAlone : kDigitsTogether);
  if (type == "Punctuation" && part.value("behavior", Json()) == "Contiguous")
    return std::string(kPunctuation);
  if (type != "ByteLevel" || flag(part, "add_prefix_space", true)) return std::nullopt;
  return std::string(flag(part, "use_regex", true) ? kBytesAndWords : kBytes);
}

// Whether all of it has become rules.
bool read_rules(const Json& pre_tokenizer, Rules& rules) {
  if (!pre_tokenizer.is_object()) return false;
  if (pre_tokenizer.at("type") == "Sequence") {
    for (const Json& part : pre_tokenizer.at("pretokenizers")) {
      if (!read_rules(part, rules)) return false;
    }
    return true;
  }
  auto rule = rule_of(pre_tokenizer);
  if (rule) rules.push_back(std::move(*rule));
  return rule.has_value();
}

bool keeps_text(const Json& normalizer) {
  if (normalizer.is_null()) return true;
  const std::string type = normalizer.at("type");
  if (type != "Sequence") return type == "NFC";
  for (const Json& part : normalizer.at("normalizers")) {
    if (!keeps_text(part)) return false;
  }
  return true;
}

bool changes_text(const Json& normalizer) {
  if (normalizer.is_null()) return false;
  if (normalizer.at("type") != "Sequence") return true;
  for (const Json& part : normalizer.at("normalizers")) {
    if (changes_text(part)) return true;
  }
  return false;
}

bool same_rules(const Known& known, const Rules& rules) {
  for (std::size_t i = 0; i < known.rules.size(); ++i) {
    const std::string rule = i < rules.size() ? rules[i] : "";
    if (with_line_ends(known.rules.at(i)) != rule) return false;
  }
  return rules.size() < known.rules.size();
}

std::string caveat_of(const Known& known, const Json& file) {
  std::string caveat;
  if (known.difference == Difference::spaces)
    caveat = "it leaves out spaces before punctuation when it turns ids into text";
  if (known.difference == Difference::marks)
    caveat = "it finds other ids where letters have combining marks, as in Thai and Hindi";
  // Of all normalizers only NFC, or none, has a name.
  if (!changes_text(file.value("normalizer", Json()))) return caveat;
  return caveat + (caveat.empty() ? "" : ", and ") + "it finds other ids in text that is not in NFC";
}

}  // namespace

std::optional<LlamaCppName> llama_cpp_name(const JsonField& file) {
  const Json& json = file.json();
  Rules rules;
  if (!keeps_text(json.value("normalizer", Json())) ||
      !read_rules(json.value("pre_tokenizer", Json()), rules))
    return std::nullopt;
  const bool ignores_merges = flag(json.at("model"), "ignore_merges", false);
  const WholeWords whole_words = ignores_merges ? WholeWords::yes : WholeWords::no;
  for (const Known& known : kKnown) {
    const bool same_model = known.whole_words == whole_words || known.whole_words == WholeWords::either;
    if (same_model && same_rules(known, rules))
      return LlamaCppName{std::string(known.name), caveat_of(known, json)};
  }
  return std::nullopt;
}

}  // namespace granule
