#include "data/bpe/piece_scores.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/files/utf8.hpp"

namespace granule {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSpaceSign = "\u2581";
constexpr const char* kOtherMerges = "its merges are not in the order of SentencePiece's scores";

/// How spaces become SentencePiece's sign.
struct Spaces {
  bool prefix = false;  // one is put before every text
  bool cuts = false;    // text is cut before each of them
};

bool is_space_replacement(const Json& step) {
  return step == Json{{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kSpaceSign}};
}
bool is_prefix(const Json& step) {
  return step == Json{{"type", "Prepend"}, {"prepend", kSpaceSign}};
}

// A normalizer that does nothing else. No space is left then, so that a Split at spaces cuts nothing.
std::optional<Spaces> spaces_of_normalizer(const Json& normalizer, const Json& pre_tokenizer) {
  const bool cuts_nothing = pre_tokenizer.is_null() || (pre_tokenizer.value("type", "") == "Split" &&
                                                        pre_tokenizer.at("pattern") == Json{{"String", " "}});
  if (!cuts_nothing) return std::nullopt;
  const Json steps =
      normalizer.value("type", "") == "Sequence" ? normalizer.at("normalizers") : Json::array({normalizer});
  if (steps.size() == 1 && is_space_replacement(steps[0])) return Spaces{};
  const bool both = steps.size() == 2 && ((is_prefix(steps[0]) && is_space_replacement(steps[1])) ||
                                          (is_space_replacement(steps[0]) && is_prefix(steps[1])));
  return both ? std::optional(Spaces{true, false}) : std::nullopt;
}

std::optional<Spaces> spaces_of_metaspace(const Json& pre_tokenizer) {
  if (!pre_tokenizer.is_object() || pre_tokenizer.value("type", "") != "Metaspace") return std::nullopt;
  if (pre_tokenizer.at("replacement") != kSpaceSign) return std::nullopt;
  const Json split = pre_tokenizer.value("split", Json(true));
  const bool never = pre_tokenizer.value("prepend_scheme", Json("always")) == "never";
  return Spaces{!never, split != false};
}

std::optional<Spaces> spaces_of(const Json& file) {
  const Json normalizer = file.value("normalizer", Json()), pre = file.value("pre_tokenizer", Json());
  return normalizer.is_null() ? spaces_of_metaspace(pre) : spaces_of_normalizer(normalizer, pre);
}

// Whether every merge that makes a piece comes before those of the next piece. Gives the place of each piece.
std::optional<std::vector<std::int64_t>> places_of_pieces(const Vocabulary& vocabulary) {
  std::vector<std::int64_t> places(static_cast<std::size_t>(vocabulary.size()), -1);
  std::int64_t next = 0;
  std::int32_t last = -1;
  for (const Merges::Pair pair : vocabulary.merges().in_order()) {
    const auto made = vocabulary.find(vocabulary.token(pair.left) + vocabulary.token(pair.right));
    if (!made) return std::nullopt;
    if (*made == last) continue;
    last = *made;
    std::int64_t& place = places[static_cast<std::size_t>(*made)];
    if (place >= 0) return std::nullopt;
    place = next++;
  }
  return places;
}

// SentencePiece and llama.cpp join any two pieces whose text is a piece. So all of these must be merges.
std::size_t ways_to_join(const VocabularyListing& listing, const Vocabulary& vocabulary) {
  const auto joins = [&](std::string_view piece) {
    const auto id = vocabulary.find_in_model(piece);
    return id && listing.pieces[static_cast<std::size_t>(*id)].kind == PieceKind::normal;
  };
  std::size_t ways = 0;
  for (const ListedPiece& piece : listing.pieces) {
    if (piece.kind != PieceKind::normal) continue;
    const std::string_view text = piece.text;
    for (std::size_t at = 0; at < text.size();) {
      at += utf8_char(text, at).length;
      if (at < text.size() && joins(text.substr(0, at)) && joins(text.substr(at))) ++ways;
    }
  }
  return ways;
}

// If a text is cut before each space, no piece may have one inside.
bool has_inner_space(const VocabularyListing& listing) {
  return std::ranges::any_of(listing.pieces, [](const ListedPiece& piece) {
    return piece.kind == PieceKind::normal && piece.text.find(kSpaceSign, 1) != std::string::npos;
  });
}

std::string obstacle_of(const VocabularyListing& listing, const JsonField& file,
                        const Vocabulary& vocabulary) {
  const auto spaces = spaces_of(file.json());
  if (!spaces) return "it changes or cuts text in a way that llama.cpp does not have";
  if (!vocabulary.allows_cutting()) return "it does not fall back to bytes as SentencePiece does";
  if (spaces->prefix && file.has("pre_tokenizer") && !file.has("normalizer"))
    return "it puts no space before a text that begins with one, and llama.cpp does";
  if (spaces->cuts && has_inner_space(listing)) return "it cuts text at spaces, and llama.cpp does not";
  return {};
}

}  // namespace

void give_scores(VocabularyListing& listing, const JsonField& file, const Vocabulary& vocabulary) {
  listing.scheme = VocabularyListing::Scheme::scores;
  listing.merges.clear();
  const std::size_t merges = vocabulary.merges().in_order().size();
  for (std::size_t id = 0; id < listing.pieces.size(); ++id) {
    ListedPiece& piece = listing.pieces[id];
    if (vocabulary.first_symbols().is_byte(static_cast<std::int32_t>(id))) piece.kind = PieceKind::byte;
    if (vocabulary.first_symbols().unknown_id() == static_cast<std::int32_t>(id))
      piece.kind = PieceKind::unknown;
  }
  listing.obstacle = obstacle_of(listing, file, vocabulary);
  if (!listing.obstacle.empty()) return;
  const auto places = places_of_pieces(vocabulary);
  if (!places || ways_to_join(listing, vocabulary) != merges) {
    listing.obstacle = kOtherMerges;
    return;
  }
  for (std::size_t id = 0; id < listing.pieces.size(); ++id)
    listing.pieces[id].score = -static_cast<float>(std::max<std::int64_t>((*places)[id], 0));
}

}  // namespace granule
