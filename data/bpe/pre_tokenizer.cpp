#include "data/bpe/pre_tokenizer.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace granule {
namespace {

// What ByteLevel itself cuts at, since GPT-2.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

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

SplitPattern pattern_of(const JsonField& field) {
  if (field.has("Regex")) return {field.at("Regex").text(), SplitPattern::Kind::regex, field.at("Regex")};
  const JsonField literal = field.at("String");
  if (literal.text().empty()) literal.refuse("is empty");
  return {literal.text(), SplitPattern::Kind::literal, literal};
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonField& field) {
  read(field);
  if (!byte_level_) field.refuse("has no ByteLevel");
}

void PreTokenizer::read(const JsonField& field) {
  const std::string type = field.at("type").text();
  if (byte_level_) field.refuse(fmt::format("is {} after a ByteLevel, which must be the last", type));
  if (type == "Sequence") {
    const JsonField all = field.at("pretokenizers");
    for (std::size_t i = 0; i < all.list_size(); ++i) read(all.element(i));
  } else if (type == "Split") {
    read_split(field);
  } else if (type == "Digits") {
    const bool single = field.at("individual_digits").flag();
    stages_.push_back({{R"(\p{N})", SplitPattern::Kind::regex, field},
                       single ? SplitBehavior::isolated : SplitBehavior::contiguous});
  } else if (type == "ByteLevel") {
    read_byte_level(field);
  } else {
    field.at("type").refuse(fmt::format("is {}, which is not known here", type));
  }
}

void PreTokenizer::read_split(const JsonField& field) {
  stages_.push_back({pattern_of(field.at("pattern")), behavior_of(field.at("behavior")),
                     field.has("invert") && field.at("invert").flag()});
}

void PreTokenizer::read_byte_level(const JsonField& field) {
  byte_level_ = true;
  adds_space_ = field.at("add_prefix_space").flag();
  space_before_ = stages_.size();
  // Files from before this key existed mean true.
  if (!field.has("use_regex") || field.at("use_regex").flag())
    stages_.push_back({{kByteLevelPattern, SplitPattern::Kind::regex, field}});
}

void PreTokenizer::split_from(std::size_t index, std::string_view text, const TakeWord& take) {
  std::string spaced;
  if (adds_space_ && index == space_before_ && !text.starts_with(' ')) {
    spaced = fmt::format(" {}", text);
    text = spaced;
  }
  if (index == stages_.size()) return take(text);
  Stage& stage = stages_[index];
  find_parts(stage, text);
  for (const Part& part : stage.parts)
    split_from(index + 1, text.substr(part.begin, part.end - part.begin), take);
}

void PreTokenizer::find_parts(Stage& stage, std::string_view text) {
  std::vector<Part>& parts = stage.parts;
  parts.clear();
  std::size_t at = 0;
  while (at < text.size()) {
    const auto match = stage.pattern.find(text, at);
    if (!match) break;
    if (match->begin > at) parts.push_back({at, match->begin, stage.inverted});
    parts.push_back({match->begin, match->end, !stage.inverted});
    at = match->end;
  }
  if (at < text.size()) parts.push_back({at, text.size(), stage.inverted});
  arrange(stage.behavior, parts);
}

void PreTokenizer::arrange(SplitBehavior behavior, std::vector<Part>& parts) {
  // Of adjacent matches only the first one, as seen from the neighbour, joins the neighbour.
  const auto join = [&](auto joins) {
    std::vector<Part> joined;
    bool previous = false;
    for (const Part& part : parts) {
      if (!joined.empty() && joins(part.matched, previous)) {
        joined.back().begin = std::min(joined.back().begin, part.begin);
        joined.back().end = std::max(joined.back().end, part.end);
      } else {
        joined.push_back(part);
      }
      previous = part.matched;
    }
    parts = std::move(joined);
  };
  const auto match_to_neighbour = [](bool matched, bool previous) { return matched && !previous; };
  switch (behavior) {
    case SplitBehavior::isolated:
      break;
    case SplitBehavior::removed:
      std::erase_if(parts, [](const Part& part) { return part.matched; });
      break;
    case SplitBehavior::contiguous:
      join([](bool matched, bool previous) { return matched == previous; });
      break;
    case SplitBehavior::merged_with_previous:
      join(match_to_neighbour);
      break;
    case SplitBehavior::merged_with_next:
      std::ranges::reverse(parts);
      join(match_to_neighbour);
      std::ranges::reverse(parts);
      break;
  }
}

}  // namespace granule
