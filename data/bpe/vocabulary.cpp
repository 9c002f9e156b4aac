#include "data/bpe/vocabulary.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/bpe/splitting/byte_alphabet.hpp"

namespace granule {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxTokens = std::int64_t{1} << 24;

// Such a line is in files that were made of a merges.txt. The library passes over it.
bool is_comment(const Json& merge) {
  return merge.is_string() && merge.get_ref<const std::string&>().starts_with("#version");
}

void refuse_unless_empty(const JsonField& model, const std::string& key) {
  if (model.has(key) && !model.at(key).text().empty())
    model.at(key).refuse(fmt::format("is \"{}\", which is not known here", model.at(key).text()));
}

}  // namespace

Vocabulary::Vocabulary(const JsonField& file, const std::vector<AddedToken>& added, Unit unit) : unit_(unit) {
  const JsonField model = file.at("model");
  read_settings(model);
  read_tokens(model);
  first_symbols_ = FirstSymbols(model, unit, finder());
  read_merges(model.at("merges"));
  read_added(file, added);
}

void Vocabulary::read_settings(const JsonField& model) {
  refuse_unless_empty(model, "continuing_subword_prefix");
  refuse_unless_empty(model, "end_of_word_suffix");
  if (model.has("dropout") && model.at("dropout").json() != 0)
    model.at("dropout").refuse("makes ids random, which is not known here");
  whole_words_first_ = model.has("ignore_merges") && model.at("ignore_merges").flag();
}

std::optional<std::int32_t> Vocabulary::find_in_model(std::string_view token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::int32_t> Vocabulary::find(std::string_view token) const {
  if (const auto id = find_in_model(token)) return id;
  const auto found = added_ids_.find(token);
  return found == added_ids_.end() ? std::nullopt : std::optional(found->second);
}

void Vocabulary::put(const std::string& token, std::int64_t id, const JsonField& field) {
  if (id >= kMaxTokens) field.refuse(fmt::format("gives {} the id {}, which is too large", token, id));
  const auto place = static_cast<std::size_t>(id);
  if (place >= tokens_.size()) tokens_.resize(place + 1);
  if (!tokens_[place].empty())
    field.refuse(fmt::format("gives the id {} to {} and to {}", id, tokens_[place], token));
  tokens_[place] = token;
}

void Vocabulary::read_tokens(const JsonField& model) {
  const JsonField vocabulary = model.at("vocab");
  vocabulary.require_object();
  ids_.reserve(vocabulary.json().size());
  for (const auto& [token, id] : vocabulary.json().items()) {
    if (!id.is_number_unsigned()) vocabulary.refuse(fmt::format("gives {} no id", token));
    if (token.empty()) vocabulary.refuse("has an empty token");
    put(token, id.get<std::int64_t>(), vocabulary);
    ids_.emplace(token, id.get<std::int32_t>());
  }
}

FirstSymbols::FindToken Vocabulary::finder() const {
  return [this](std::string_view token) { return find_in_model(token); };
}

void Vocabulary::add_merge(const std::string& left, const std::string& right, std::size_t rank,
                           const JsonField& merges) {
  const auto first = find(left), second = find(right), merged = find(left + right);
  if (!first || !second || !merged) {
    merges.element(rank).refuse(fmt::format("merges {} and {}, but {} is not in the vocabulary", left, right,
                                            !first    ? left
                                            : !second ? right
                                                      : left + right));
  }
  merges_.add(*first, *second, static_cast<std::int32_t>(rank), *merged);
}

void Vocabulary::read_merges(const JsonField& merges) {
  for (std::size_t rank = 0; rank < merges.list_size(); ++rank) {
    const Json& pair = merges.json()[rank];
    if (is_comment(pair)) continue;
    if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string()) {
      add_merge(pair[0].get<std::string>(), pair[1].get<std::string>(), rank, merges);
      continue;
    }
    const std::string text = pair.is_string() ? pair.get<std::string>() : "";
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      merges.element(rank).refuse("is not two tokens");
    add_merge(text.substr(0, space), text.substr(space + 1), rank, merges);
  }
}

// The library gives an added token that the model does not have the next free id, whatever the file says.
// That is the number of the model's tokens, or one more than the largest id of an added token before it.
void Vocabulary::read_added(const JsonField& file, const std::vector<AddedToken>& added) {
  const auto size = static_cast<std::int32_t>(ids_.size());
  std::int32_t next = size;
  for (std::size_t i = 0; i < added.size(); ++i) {
    const AddedToken& token = added[i];
    const auto known = find_in_model(token.content);
    if (known && *known != token.id) {
      file.at("model").at("vocab").refuse(
          fmt::format("gives {} the id {}, added_tokens gives it {}", token.content, *known, token.id));
    }
    if (!known) {
      put(token.content, token.id, file.at("model").at("vocab"));
      added_ids_.emplace(token.content, token.id);
      if (token.id != next) {
        file.at("added_tokens")
            .element(i)
            .refuse(
                fmt::format("gives {} the id {}, and the tokenizers library gives it {}, the next free one",
                            token.content, token.id, next));
      }
    }
    next = std::max(next, token.id + 1);
  }
}

bool Vocabulary::is_whole(std::string_view word, std::vector<std::int32_t>& ids) const {
  std::string token(unit_ == Unit::character ? word : "");
  if (unit_ == Unit::byte) {
    for (const char byte : word) token += byte_characters().at(static_cast<unsigned char>(byte));
  }
  const auto id = find_in_model(token);
  if (id) ids.push_back(*id);
  return id.has_value();
}

void Vocabulary::encode_word(std::string_view word, std::vector<std::int32_t>& ids) {
  if (whole_words_first_ && is_whole(word, ids)) return;
  symbols_.clear();
  first_symbols_.append(word, finder(), symbols_);
  merges_.apply(symbols_, ids);
}

// An unknown token may stand for several characters, a whole word is looked up as it is, and a merge of
// bytes makes a token whose text does not have the characters.
bool Vocabulary::allows_cutting() const {
  if (unit_ != Unit::character || whole_words_first_ || !first_symbols_.falls_back_to_bytes()) return false;
  return std::ranges::none_of(merges_.in_order(), [&](const Merges::Pair& pair) {
    return first_symbols_.is_byte(pair.left) || first_symbols_.is_byte(pair.right);
  });
}

}  // namespace granule
