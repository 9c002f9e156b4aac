#include "data/bpe/splitting/stage.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "data/bpe/splitting/byte_alphabet.hpp"

namespace granule {
namespace {

struct Part {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool matched = false;
};

// Of adjacent matches only the first one, as seen from the neighbour, joins the neighbour.
template <class Joins>
void join(std::vector<Part>& parts, Joins joins) {
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
}

void arrange(SplitBehavior behavior, std::vector<Part>& parts) {
  const auto match_to_neighbour = [](bool matched, bool previous) { return matched && !previous; };
  switch (behavior) {
    case SplitBehavior::isolated:
      break;
    case SplitBehavior::removed:
      std::erase_if(parts, [](const Part& part) { return part.matched; });
      break;
    case SplitBehavior::contiguous:
      join(parts, [](bool matched, bool previous) { return matched == previous; });
      break;
    case SplitBehavior::merged_with_previous:
      join(parts, match_to_neighbour);
      break;
    case SplitBehavior::merged_with_next:
      std::ranges::reverse(parts);
      join(parts, match_to_neighbour);
      std::ranges::reverse(parts);
      break;
  }
}

class AtPattern final : public SplitStage {
 public:
  AtPattern(SplitPattern pattern, SplitBehavior behavior, Inverted inverted)
      : pattern_(std::move(pattern)), behavior_(behavior), inverted_(inverted == Inverted::yes) {}

  void split(const SplitPiece& piece, const Take& take) override {
    find_parts(piece.text);
    for (const Part& part : parts_)
      take({piece.text.substr(part.begin, part.end - part.begin), piece.starts_document && part.begin == 0});
  }

 private:
  void find_parts(std::string_view text) {
    parts_.clear();
    std::size_t at = 0;
    while (at < text.size()) {
      const auto match = pattern_.find(text, at);
      if (!match) break;
      if (match->begin > at) parts_.push_back({at, match->begin, inverted_});
      parts_.push_back({match->begin, match->end, !inverted_});
      at = match->end;
    }
    if (at < text.size()) parts_.push_back({at, text.size(), inverted_});
    arrange(behavior_, parts_);
  }

  SplitPattern pattern_;
  SplitBehavior behavior_;
  bool inverted_;
  std::vector<Part> parts_;
};

class SpaceBefore final : public SplitStage {
 public:
  void split(const SplitPiece& piece, const Take& take) override {
    if (piece.text.starts_with(' ')) return take(piece);
    std::string spaced = " ";
    spaced += piece.text;
    take({spaced, piece.starts_document});
  }
};

class SpellBytes final : public SplitStage {
 public:
  void split(const SplitPiece& piece, const Take& take) override {
    std::string spelled;
    for (const char byte : piece.text) spelled += byte_characters().at(static_cast<unsigned char>(byte));
    take({spelled, piece.starts_document});
  }
};

class WriteSpaces final : public SplitStage {
 public:
  WriteSpaces(std::string sign, Prefix prefix, std::optional<SplitPattern> pattern)
      : sign_(std::move(sign)), prefix_(prefix) {
    if (pattern) cut_ = split_at(std::move(*pattern), SplitBehavior::merged_with_next);
  }

  void split(const SplitPiece& piece, const Take& take) override {
    std::string written;
    for (const char c : piece.text) {
      if (c == ' ') {
        written += sign_;
      } else {
        written += c;
      }
    }
    const bool wanted = prefix_ == Prefix::always || (prefix_ == Prefix::first && piece.starts_document);
    if (wanted && !written.starts_with(sign_)) written.insert(0, sign_);
    const SplitPiece whole{written, piece.starts_document};
    cut_ ? cut_->split(whole, take) : take(whole);
  }

 private:
  std::string sign_;
  Prefix prefix_;
  std::unique_ptr<SplitStage> cut_;
};

}  // namespace

std::unique_ptr<SplitStage> split_at(SplitPattern pattern, SplitBehavior behavior, Inverted inverted) {
  return std::make_unique<AtPattern>(std::move(pattern), behavior, inverted);
}

std::unique_ptr<SplitStage> space_before() {
  return std::make_unique<SpaceBefore>();
}

std::unique_ptr<SplitStage> spell_bytes() {
  return std::make_unique<SpellBytes>();
}

std::unique_ptr<SplitStage> write_spaces_as(std::string sign, Prefix prefix,
                                            std::optional<SplitPattern> pattern) {
  return std::make_unique<WriteSpaces>(std::move(sign), prefix, std::move(pattern));
}

}  // namespace granule
