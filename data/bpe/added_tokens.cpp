#include "data/bpe/added_tokens.hpp"

#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/utf8.hpp"

namespace granule {
namespace {

// The characters with Unicode's property White_Space.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::size_t behind_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Utf8Char c = utf8_char(text, at);
    if (!is_space(c.code_point)) break;
    at += c.length;
  }
  return at;
}

std::size_t before_space(std::string_view text, std::size_t at, std::size_t first) {
  while (at > first) {
    std::size_t start = at - 1;
    while (start > first && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80) --start;
    if (!is_space(utf8_char(text, start).code_point)) break;
    at = start;
  }
  return at;
}

bool flag_or_no(const JsonField& field, const std::string& key) {
  return field.has(key) && field.at(key).flag();
}

AddedToken read_token(const JsonField& field) {
  const std::int64_t id = field.at("id").count();
  if (id > std::numeric_limits<std::int32_t>::max()) field.at("id").refuse("is too large");
  if (flag_or_no(field, "single_word")) field.at("single_word").refuse("is true, which is not known here");
  AddedToken token{field.at("content").text(),
                   static_cast<std::int32_t>(id),
                   flag_or_no(field, "special") ? Special::yes : Special::no,
                   flag_or_no(field, "lstrip"),
                   flag_or_no(field, "rstrip"),
                   flag_or_no(field, "normalized")};
  if (token.content.empty()) field.at("content").refuse("is empty");
  return token;
}

}  // namespace

void TokenFinder::add(const AddedToken& token) {
  first_bytes_.set(static_cast<unsigned char>(token.content.front()));
  std::size_t node = 0;
  for (const char byte : token.content) {
    const auto [place, is_new] = nodes_[node].next.emplace(byte, nodes_.size());
    node = place->second;
    if (is_new) nodes_.emplace_back();
  }
  nodes_[node].token = std::ssize(tokens_);
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

void TokenFinder::split(std::string_view whole, const TakeText& text, const TakeToken& token) const {
  std::size_t done = 0, from = 0;
  for (Found found = find(whole, from); found.token != nullptr; found = find(whole, from)) {
    from = found.end;
    const std::size_t begin = found.token->strips_left ? before_space(whole, found.begin, done) : found.begin;
    const std::size_t end = found.token->strips_right ? behind_space(whole, found.end) : found.end;
    if (begin > done) text(whole.substr(done, begin - done));
    token(*found.token);
    done = end;
  }
  if (done < whole.size()) text(whole.substr(done));
}

AddedTokens::AddedTokens(const JsonField& field) {
  std::set<std::string> contents;
  std::set<std::int32_t> ids;
  for (std::size_t i = 0; i < field.list_size(); ++i) {
    const AddedToken token = read_token(field.element(i));
    if (!contents.insert(token.content).second || !ids.insert(token.id).second)
      field.element(i).refuse(fmt::format("is a second {} or a second id {}", token.content, token.id));
    (token.normalized ? second_ : first_).add(token);
    tokens_.push_back(token);
  }
}

void AddedTokens::split(std::string_view whole, const TokenFinder::TakeText& text,
                        const TokenFinder::TakeToken& token) const {
  first_.split(
      whole, [&](std::string_view part) { second_.split(part, text, token); }, token);
}

}  // namespace granule
