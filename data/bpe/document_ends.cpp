#include "data/bpe/document_ends.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <span>

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "data/files/files.hpp"
#include "data/files/json_field.hpp"
#include "data/files/strict_json.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 8> kEosNames{"<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
                                                    "<|endoftext|>",
                                                    "<|end_of_text|>",
                                                    "</s>",
                                                    "<eos>",
                                                    "<|eos|>",
                                                    "<EOS>",
                                                    "[EOS]"};
constexpr std::array<std::string_view, 7> kBosNames{"<\uFF5Cbegin\u2581of\u2581sentence\uFF5C>",
                                                    "<|begin_of_text|>",
                                                    "<|startoftext|>",
                                                    "<s>",
                                                    "<bos>",
                                                    "<BOS>",
                                                    "[BOS]"};

// If there are special tokens among them, only those. Gemma's "</s>", for example, is HTML.
std::vector<const AddedToken*> named(std::span<const std::string_view> names,
                                     const std::vector<AddedToken>& added) {
  std::vector<const AddedToken*> found;
  for (const AddedToken& token : added) {
    if (std::ranges::find(names, token.content) != names.end()) found.push_back(&token);
  }
  const auto is_special = [](const AddedToken* token) { return token->special == Special::yes; };
  if (std::ranges::any_of(found, is_special)) std::erase_if(found, std::not_fn(is_special));
  return found;
}

// The token that a config names under the key, by a string or by an object that describes it.
std::optional<std::int32_t> configured(const JsonField& config, const std::string& key,
                                       const Vocabulary& vocabulary) {
  if (!config.has(key)) return std::nullopt;
  const JsonField field = config.at(key);
  const std::string token = field.json().is_object() ? field.at("content").text() : field.text();
  const auto id = vocabulary.find(token);
  if (!id) field.refuse(fmt::format("is {}, which is not in the tokenizer", token));
  return id;
}

void find_usual_eos(DocumentEnds& ends, const std::vector<AddedToken>& added) {
  const auto found = named(kEosNames, added);
  if (found.size() == 1) ends.eos = found.front()->id;
  if (found.size() < 2) return;
  for (const AddedToken* const token : found) ends.undecided.push_back(token->content);
}

std::int32_t required(std::string_view token, const fs::path& tokenizer, const Vocabulary& vocabulary) {
  const auto id = vocabulary.find(token);
  if (!id) user_error(fmt::format("{} is not in the tokenizer", token), tokenizer.string(), "check --eos");
  return *id;
}

std::string with_eos(const std::string& config, std::string_view eos) {
  Json document = config.empty() ? Json::object() : Json::parse(config);
  document["eos_token"] = eos;
  return document.dump(2) + "\n";
}

}  // namespace

DocumentEnds find_document_ends(const fs::path& tokenizer, std::string_view eos, const Vocabulary& vocabulary,
                                const std::vector<AddedToken>& added) {
  DocumentEnds ends;
  const fs::path beside = tokenizer.parent_path() / kTokenizerConfigFile;
  std::error_code error;
  if (fs::exists(beside, error)) {
    const nlohmann::json said = load_json_object(beside);
    const JsonField config(said, beside.string(), "correct it, or give --eos TOKEN to data build");
    ends.bos = configured(config, "bos_token", vocabulary);
    if (eos.empty()) ends.eos = configured(config, "eos_token", vocabulary);
    ends.config = read_file(beside);
  }
  if (!eos.empty()) ends.eos = required(eos, tokenizer, vocabulary);
  if (!ends.eos) find_usual_eos(ends, added);
  const auto starts = named(kBosNames, added);
  if (!ends.bos && starts.size() == 1) ends.bos = starts.front()->id;
  if (!eos.empty()) ends.config = with_eos(ends.config, eos);
  return ends;
}

std::optional<std::int32_t> decided_eos(const DocumentEnds& ends, const fs::path& tokenizer) {
  if (ends.undecided.empty()) return ends.eos;
  user_error(fmt::format("{} and {} could both end documents", ends.undecided[0], ends.undecided[1]),
             tokenizer.string(),
             fmt::format("say which: --eos TOKEN of data build, or eos_token in a {} beside it",
                         kTokenizerConfigFile));
}

}  // namespace granule
