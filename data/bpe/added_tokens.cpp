#include "data/bpe/added_tokens.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/bpe/normalizers/unicode_text.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

bool flag_or_no(const JsonField& field, const std::string& key) {
  return field.has(key) && field.at(key).flag();
}

AddedToken read_token(const JsonField& field) {
  const std::int64_t id = field.at("id").count();
  if (id > std::numeric_limits<std::int32_t>::max()) field.at("id").refuse("is too large");
  AddedToken token{field.at("content").text(),
                   static_cast<std::int32_t>(id),
                   flag_or_no(field, "special") ? Special::yes : Special::no,
                   flag_or_no(field, "lstrip"),
                   flag_or_no(field, "rstrip"),
                   flag_or_no(field, "normalized"),
                   flag_or_no(field, "single_word")};
  if (token.content.empty()) field.at("content").refuse("is empty");
  return token;
}

}  // namespace

void TokenFinder::add(const AddedToken& token) {
  first_bytes_.set(static_cast<unsigned char>(token.spelling.front()));
  std::size_t node = 0;
  for (const char byte : token.spelling) {
    const auto [place, is_new] = nodes_[node].next.emplace(byte, nodes_.size());
    node = place->second;
    if (is_new) nodes_.emplace_back();
  }
  if (nodes_[node].token < 0) nodes_[node].token = std::ssize(tokens_);
  tokens_.push_back(token);
}

TokenFinder::Found TokenFinder::find(std::string_view text, std::size_t from) const {
  if (tokens_.empty()) return {};
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (!first_bytes_.test(static_cast<unsigned char>(text[begin]))) continue;
    Found found;
    std::size_t node = 0;
    for (std::size_t at = begin; at < text.size(); ++at) {
      const auto next = nodes_[node].next.find(text[at]);
      if (next == nodes_[node].next.end()) break;
      node = next->second;
      if (nodes_[node].token >= 0)
        found = {begin, at + 1, &tokens_[static_cast<std::size_t>(nodes_[node].token)]};
    }
    if (found.token != nullptr) return found;
  }
  return {};
}

bool TokenFinder::stands_alone(const Found& found, std::string_view text) const {
  return !ends_with_word_character(text.substr(0, found.begin)) &&
         !starts_with_word_character(text.substr(found.end));
}

void TokenFinder::split(std::string_view whole, const TakeText& text, const TakeToken& token) const {
  std::size_t done = 0, from = 0;
  for (Found found = find(whole, from); found.token != nullptr; found = find(whole, from)) {
    from = found.end;
    if (found.token->single_word && !stands_alone(found, whole)) continue;
    const std::string_view before = whole.substr(0, found.begin), after = whole.substr(found.end);
    const std::size_t left = found.token->strips_left ? white_space_at_end(before) : 0;
    const std::size_t begin = std::max(done, found.begin - left);
    if (begin > done) text(done, begin);
    token(*found.token);
    done = found.end + (found.token->strips_right ? white_space_at_start(after) : 0);
  }
  if (done < whole.size()) text(done, whole.size());
}

AddedTokens::AddedTokens(const JsonField& field, Normalizer& normalizer) {
  std::set<std::string> contents;
  std::set<std::int32_t> ids;
  for (std::size_t i = 0; i < field.list_size(); ++i) {
    const AddedToken token = read_token(field.element(i));
    if (!contents.insert(token.content).second || !ids.insert(token.id).second)
      field.element(i).refuse(fmt::format("is a second {} or a second id {}", token.content, token.id));
    TextPart spelling{token.content};
    if (token.normalized) normalizer.apply(spelling);
    tokens_.push_back(token);
    tokens_.back().spelling = spelling.text;
  }
  for (const AddedToken& token : tokens_) {
    // Nothing in a text is spelled like a token of which the normalizer leaves nothing.
    if (!token.spelling.empty()) (token.normalized ? in_normalized_ : in_text_).add(token);
  }
}

void AddedTokens::split(std::string_view whole, Normalizer& normalizer, const TakeText& text,
                        const TokenFinder::TakeToken& token) const {
  const auto take_normalized = [&](std::string_view normalized, bool starts_document) {
    in_normalized_.split(
        normalized,
        [&](std::size_t begin, std::size_t end) {
          text(normalized.substr(begin, end - begin), starts_document && begin == 0);
        },
        token);
  };
  in_text_.split(
      whole,
      [&](std::size_t begin, std::size_t end) {
        const std::string_view part = whole.substr(begin, end - begin);
        if (normalizer.changes_nothing()) return take_normalized(part, begin == 0);
        TextPart changed{std::string(part), begin == 0};
        normalizer.apply(changed);
        take_normalized(changed.text, changed.starts_document);
      },
      token);
}

}  // namespace granule
