#include "data/bpe/splitting/pre_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/error.hpp"
#include "data/bpe/splitting/byte_alphabet.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

using Kind = SplitPattern::Kind;

// What ByteLevel itself cuts at, since GPT-2.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kNumber = R"(\p{N})";
constexpr std::string_view kSpace = R"(\p{White_Space})";
// What Whitespace takes for words are those of the Rust library for regular expressions.
constexpr std::string_view kWordOrSigns =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)"
    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+)";
// The reference library takes punctuation from Unicode 8. The first brackets have what Unicode 16 calls
// punctuation in addition. U+166D and U+111C9 were punctuation then and are not any more.
constexpr std::string_view kPunctuation =
    R"((?![\x{61d}\x{9fd}\x{a76}\x{c77}\x{c84}\x{1b4e}\x{1b4f}\x{1b7d}-\x{1b7f}\x{2e43}-\x{2e4f}\x{2e52}-\x{2e5d})"
    R"(\x{10d6e}\x{10ead}\x{10f55}-\x{10f59}\x{10f86}-\x{10f89}\x{113d4}\x{113d5}\x{113d7}\x{113d8})"
    R"(\x{1144b}-\x{1144f}\x{1145a}\x{1145b}\x{1145d}\x{11660}-\x{1166c}\x{116b9}\x{1183b}\x{11944}-\x{11946})"
    R"(\x{119e2}\x{11a3f}-\x{11a46}\x{11a9a}-\x{11a9c}\x{11a9e}-\x{11aa2}\x{11b00}-\x{11b09}\x{11be1})"
    R"(\x{11c41}-\x{11c45}\x{11c70}\x{11c71}\x{11ef7}\x{11ef8}\x{11f43}-\x{11f4f}\x{11fff}\x{12ff1}\x{12ff2})"
    R"(\x{16d6d}-\x{16d6f}\x{16e97}-\x{16e9a}\x{16fe2}\x{1e5ff}\x{1e95e}\x{1e95f}]))"
    R"([\p{P}!-/:-@\[-`{-~\x{166d}\x{111c9}])";

constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors{
    {{"Isolated", SplitBehavior::isolated},
     {"Removed", SplitBehavior::removed},
     {"MergedWithPrevious", SplitBehavior::merged_with_previous},
     {"MergedWithNext", SplitBehavior::merged_with_next},
     {"Contiguous", SplitBehavior::contiguous}}};

SplitBehavior behavior_of(const JsonField& field) {
  const std::string name = field.text();
  const auto* const found = std::ranges::find(kBehaviors, name, [](const auto& pair) { return pair.first; });
  if (found == kBehaviors.end()) field.refuse(fmt::format("is {}, which is not known here", name));
  return found->second;
}

std::string one_character(const JsonField& field) {
  const std::string text = field.text();
  if (text.empty() || utf8_char(text, 0).length != text.size()) field.refuse("is not one character");
  return text;
}

std::unique_ptr<SplitStage> native(std::string_view pattern, SplitBehavior behavior, const JsonField& field,
                                   Inverted inverted = Inverted::no) {
  return split_at({pattern, Kind::native, field}, behavior, inverted);
}

std::unique_ptr<SplitStage> split_of(const JsonField& field) {
  const bool inverted = field.has("invert") && field.at("invert").flag();
  return split_at(read_pattern(field.at("pattern")), behavior_of(field.at("behavior")),
                  inverted ? Inverted::yes : Inverted::no);
}

std::unique_ptr<SplitStage> fixed_length(const JsonField& field) {
  const std::int64_t length = field.has("length") ? field.at("length").count() : 5;
  if (length < 1 || length > 1000) field.at("length").refuse("is not between 1 and 1000");
  return native(fmt::format("(?s:.){{1,{}}}", length), SplitBehavior::isolated, field);
}

// The kinds that cut at something and change nothing. Null for any other.
std::unique_ptr<SplitStage> cut_of(const std::string& type, const JsonField& field) {
  if (type == "Split") return split_of(field);
  if (type == "WhitespaceSplit") return native(kSpace, SplitBehavior::removed, field);
  if (type == "Whitespace") return native(kWordOrSigns, SplitBehavior::removed, field, Inverted::yes);
  if (type == "FixedLength") return fixed_length(field);
  if (type == "Digits") {
    const bool single = field.at("individual_digits").flag();
    return native(kNumber, single ? SplitBehavior::isolated : SplitBehavior::contiguous, field);
  }
  if (type == "Punctuation") {
    const bool said = field.has("behavior");
    return native(kPunctuation, said ? behavior_of(field.at("behavior")) : SplitBehavior::isolated, field);
  }
  if (type == "CharDelimiterSplit") {
    const JsonField delimiter = field.at("delimiter");
    return split_at({one_character(delimiter), Kind::literal, delimiter}, SplitBehavior::removed);
  }
  return nullptr;
}

Prefix prefix_of(const JsonField& field) {
  const std::string scheme = field.has("prepend_scheme") ? field.at("prepend_scheme").text() : "always";
  const bool never = scheme == "never";
  if (!never && scheme != "first" && scheme != "always")
    field.at("prepend_scheme").refuse(fmt::format("is {}, which is not known here", scheme));
  // Older files have this key alone.
  if (field.has("add_prefix_space") && field.at("add_prefix_space").flag() == never)
    field.at("add_prefix_space").refuse(fmt::format("does not match the prepend_scheme {}", scheme));
  return never ? Prefix::never : scheme == "first" ? Prefix::first : Prefix::always;
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonField& field) {
  read(field);
}

void PreTokenizer::read(const JsonField& field) {
  const std::string type = field.at("type").text();
  if (type == "Sequence") {
    const JsonField all = field.at("pretokenizers");
    for (std::size_t i = 0; i < all.list_size(); ++i) read(all.element(i));
    return;
  }
  auto cut = cut_of(type, field);
  // Only now it is known that the bytes are needed as characters.
  if (byte_level_ && !spelled_) {
    stages_.push_back(spell_bytes());
    spelled_ = true;
  }
  if (cut) {
    stages_.push_back(std::move(cut));
  } else if (type == "BertPreTokenizer") {
    stages_.push_back(native(kSpace, SplitBehavior::removed, field));
    stages_.push_back(native(kPunctuation, SplitBehavior::isolated, field));
  } else if (byte_level_) {
    field.refuse(fmt::format("is {} after a ByteLevel, which is not known here", type));
  } else if (type == "ByteLevel") {
    read_byte_level(field);
  } else if (type == "Metaspace") {
    read_metaspace(field);
  } else {
    field.at("type").refuse(fmt::format("is {}, which is not known here", type));
  }
}

void PreTokenizer::read_byte_level(const JsonField& field) {
  byte_level_ = true;
  if (field.at("add_prefix_space").flag()) {
    adds_space_ = true;
    stages_.push_back(space_before());
  }
  // Files from before this key existed mean true.
  if (!field.has("use_regex") || field.at("use_regex").flag())
    stages_.push_back(split_at({kByteLevelPattern, Kind::regex, field}, SplitBehavior::isolated));
}

void PreTokenizer::read_metaspace(const JsonField& field) {
  const JsonField sign = field.at("replacement");
  const Prefix prefix = prefix_of(field);
  const bool cuts = !field.has("split") || field.at("split").flag();
  if (prefix != Prefix::never) adds_space_ = true;
  const std::string text = one_character(sign);
  auto pattern = cuts ? std::optional(SplitPattern(text, Kind::literal, sign)) : std::nullopt;
  stages_.push_back(write_spaces_as(text, prefix, std::move(pattern)));
}

void PreTokenizer::split_from(std::size_t index, const SplitPiece& piece, const TakeWord& take) {
  if (index < stages_.size())
    return stages_[index]->split(piece, [&](const SplitPiece& part) { split_from(index + 1, part, take); });
  if (!spelled_) return take(piece.text);
  const auto bytes = bytes_of_token(piece.text);
  GRANULE_ASSERT(bytes.has_value(), "a word is not spelled in the alphabet of bytes");
  take(*bytes);
}

}  // namespace granule
