#include "data/bpe/json_from_pieces.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

using nlohmann::json;

constexpr const char* kSpaceSign = "\u2581";

using Ids = std::unordered_map<std::string_view, std::size_t>;

// Only such pieces are made of others.
Ids normal_pieces(const VocabularyListing& listing) {
  Ids ids;
  for (std::size_t id = 0; id < listing.pieces.size(); ++id) {
    if (listing.pieces[id].kind == PieceKind::normal) ids.emplace(listing.pieces[id].text, id);
  }
  return ids;
}

// The best score first, as SentencePiece joins pieces.
std::vector<std::size_t> by_score(const VocabularyListing& listing) {
  std::vector<std::size_t> order;
  for (std::size_t id = 0; id < listing.pieces.size(); ++id) {
    if (listing.pieces[id].kind == PieceKind::normal) order.push_back(id);
  }
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return listing.pieces[a].score > listing.pieces[b].score; });
  return order;
}

// Every way to make the piece of two others, by their ids.
void append_merges(std::string_view piece, const Ids& ids, json& merges) {
  std::vector<std::tuple<std::size_t, std::size_t, std::size_t>> ways;
  for (std::size_t at = 0; at < piece.size();) {
    at += utf8_char(piece, at).length;
    const auto left = ids.find(piece.substr(0, at)), right = ids.find(piece.substr(at));
    if (left != ids.end() && right != ids.end()) ways.emplace_back(left->second, right->second, at);
  }
  std::ranges::sort(ways);
  for (const auto& way : ways) {
    const std::size_t at = std::get<2>(way);
    merges.push_back(fmt::format("{} {}", piece.substr(0, at), piece.substr(at)));
  }
}

json model_of(const VocabularyListing& listing) {
  json vocabulary = json::object(), merges = json::array(), unknown;
  for (std::size_t id = 0; id < listing.pieces.size(); ++id) {
    vocabulary[listing.pieces[id].text] = id;
    if (listing.pieces[id].kind == PieceKind::unknown) unknown = listing.pieces[id].text;
  }
  const Ids ids = normal_pieces(listing);
  for (const std::size_t id : by_score(listing)) append_merges(listing.pieces[id].text, ids, merges);
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unknown},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", true},
          {"byte_fallback", true},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

json special_tokens(const VocabularyListing& listing) {
  json tokens = json::array();
  for (std::size_t id = 0; id < listing.pieces.size(); ++id) {
    const ListedPiece& piece = listing.pieces[id];
    if (piece.kind != PieceKind::control && piece.kind != PieceKind::unknown) continue;
    tokens.push_back({{"id", id},
                      {"content", piece.text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}});
  }
  return tokens;
}

json replace(const char* from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

json normalizer_of(const VocabularyListing& listing) {
  const json spaces = replace(" ", kSpaceSign);
  if (!listing.adds_space_prefix) return spaces;
  const json prefix{{"type", "Prepend"}, {"prepend", kSpaceSign}};
  return {{"type", "Sequence"}, {"normalizers", json::array({prefix, spaces})}};
}

json decoder_of(const VocabularyListing& listing) {
  json decoders = json::array({replace(kSpaceSign, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (listing.adds_space_prefix)
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
}

}  // namespace

std::string beyond_json(const VocabularyListing& listing) {
  if (!listing.obstacle.empty()) return listing.obstacle;
  Ids seen;
  for (std::size_t id = 0; id < listing.pieces.size(); ++id) {
    const ListedPiece& piece = listing.pieces[id];
    if (piece.kind == PieceKind::user_defined) return "its SentencePiece model has user-defined pieces";
    if (piece.kind == PieceKind::unused) return "its SentencePiece model has unused pieces";
    if (!seen.emplace(piece.text, id).second) return "its SentencePiece model has a piece twice";
    // A merge is written as two pieces with a space between them.
    if (piece.text.find(' ') != std::string::npos) return "its SentencePiece model has a piece with a space";
  }
  return {};
}

json json_from_pieces(const VocabularyListing& listing) {
  GRANULE_CHECK(listing.scheme == VocabularyListing::Scheme::scores && beyond_json(listing).empty(),
                "no tokenizer.json has these ids: {}", beyond_json(listing));
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", special_tokens(listing)},
          {"normalizer", normalizer_of(listing)},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", decoder_of(listing)},
          {"model", model_of(listing)}};
}

}  // namespace granule
