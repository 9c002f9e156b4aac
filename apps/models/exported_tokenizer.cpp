#include "apps/models/exported_tokenizer.hpp"

#include "data/bpe/json_from_pieces.hpp"
#include "data/files/digest.hpp"
#include "data/files/strict_json.hpp"
#include "data/models/hf_directory.hpp"
#include "data/tokenizers/special_tokens.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_json(const Tokenizer& tokenizer) {
  return tokenizer.standard_name() == kTokenizerJsonFile;
}

/// What transformers needs in addition to a tokenizer file that has no config.
json new_config(const Tokenizer& tokenizer, std::int64_t positions) {
  const auto name = [&](std::optional<std::int32_t> id) {
    return id ? json(tokenizer.token_name(*id)) : json();
  };
  return {{"tokenizer_class", is_json(tokenizer) ? "PreTrainedTokenizerFast" : "LlamaTokenizer"},
          {"bos_token", name(tokenizer.bos_id())},
          {"eos_token", name(tokenizer.eos_id())},
          {"unk_token", name(tokenizer.unknown_id())},
          {"pad_token", nullptr},
          {"legacy", true},
          {"clean_up_tokenization_spaces", false},
          {"model_max_length", positions},
          {"sp_model_kwargs", json::object()}};
}

/// The tokenizer.json of a tokenizer. Null if it has none, or if there is one in its folder that is copied.
json tokenizer_json(const Tokenizer& tokenizer, std::string& why_none) {
  if (is_json(tokenizer)) return load_json_object(tokenizer.path());
  std::error_code error;
  if (fs::exists(tokenizer.path().parent_path() / kTokenizerJsonFile, error)) return nullptr;
  const VocabularyListing listing = tokenizer.listing();
  why_none = beyond_json(listing);
  return why_none.empty() ? json_from_pieces(listing) : json();
}

}  // namespace

void ExportedTokenizer::take_out_of(std::vector<fs::path>& copied) const {
  std::erase_if(copied, [&](const fs::path& path) {
    const std::string name = path.filename();
    return name == kTokenizerConfigFile || (name == kTokenizerJsonFile && !file.is_null());
  });
}

ExportedTokenizer exported_tokenizer(const Tokenizer& tokenizer, std::optional<std::int32_t> bos,
                                     std::int64_t positions) {
  const fs::path beside = tokenizer.path().parent_path() / kTokenizerConfigFile;
  std::error_code error;
  ExportedTokenizer exported{fs::exists(beside, error) ? load_json_object(beside)
                                                       : new_config(tokenizer, positions)};
  exported.config["add_bos_token"] = bos.has_value();
  exported.config["add_eos_token"] = false;
  if (bos) exported.config["bos_token"] = tokenizer.token_name(*bos);
  json file = tokenizer_json(tokenizer, exported.no_json);
  const auto token = bos ? std::optional(BosToken{tokenizer.token_name(*bos), *bos}) : std::nullopt;
  if (file.is_null() || (!set_bos(file, token) && is_json(tokenizer))) return exported;
  const std::string text = text_of_document(file);
  note_digest(exported.config, sha256_of(std::as_bytes(std::span(text))), tokenizer.sha256());
  exported.file = std::move(file);
  return exported;
}

}  // namespace granule
