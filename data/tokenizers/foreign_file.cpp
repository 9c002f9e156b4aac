#include "data/tokenizers/foreign_file.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "data/files/files.hpp"
#include "data/text/file_kind.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kGiveJson = "give the tokenizer.json of the same model";
constexpr std::string_view kMakeJson =
    "give the tokenizer.json of the same model; where there is none, transformers writes one: "
    "AutoTokenizer.from_pretrained(DIR, use_fast=True).save_pretrained(OUT)";

std::string_view beginning_of(const MappedFile& file) {
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), std::min<std::size_t>(bytes.size(), 4096)};
}

/// Each line is a token in base64, a space and its rank: "IQ== 0".
bool is_tiktoken(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space % 4 != 0) return false;
  const std::string_view rank = line.substr(space + 1);
  constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
  return line.substr(0, space).find_first_not_of(kBase64) == std::string_view::npos &&
         rank.find_first_not_of("0123456789\r") == std::string_view::npos && !rank.empty();
}

bool is_vocabulary(const Json& json) {
  return json.is_object() && json.size() > 1 &&
         std::ranges::all_of(json, [](const Json& id) { return id.is_number_integer(); });
}

std::optional<ForeignFile> foreign_json(const MappedFile& file) {
  const auto bytes = file.bytes();
  const char* const begin = reinterpret_cast<const char*>(bytes.data());
  // A real one may have megabytes, and its reader says what is wrong with it.
  const std::string_view text(begin, bytes.size());
  if (text.find("\"pre_tokenizer\"") != std::string_view::npos &&
      text.find("\"merges\"") != std::string_view::npos)
    return std::nullopt;
  const Json json = Json::parse(begin, begin + bytes.size(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.contains("pre_tokenizer")) return std::nullopt;
  if (json.contains("config") && json.contains("vocab"))
    return ForeignFile{"a tekken.json of Mistral, which is not read", std::string(kGiveJson)};
  if (json.contains("tokenizer_class") && !json.contains("model"))
    return ForeignFile{"a tokenizer_config.json, which holds no vocabulary",
                       "give the tokenizer.json or tokenizer.model beside it"};
  if ((json.contains("model_type") || json.contains("architectures")) && !json.contains("model"))
    return ForeignFile{"a model's config.json, not a tokenizer",
                       "give the tokenizer.json or tokenizer.model beside it"};
  // Names of tokens may be those of settings, but the values of settings are not numbers.
  if (is_vocabulary(json))
    return ForeignFile{"a vocabulary alone, without merges and rules", foreign_advice("vocab.json")};
  return std::nullopt;
}

}  // namespace

std::string foreign_advice(std::string_view name) {
  if (name == "tekken.json") return std::string(kGiveJson);
  if (name == "spiece.model") return "name that file itself, which is a SentencePiece model";
  return std::string(kMakeJson);
}

std::optional<ForeignFile> foreign_file(const fs::path& path) {
  const MappedFile file(path);
  const std::string_view text = beginning_of(file);
  if (const auto kind = kind_of_content(text)) {
    return ForeignFile{fmt::format("{}, not a tokenizer", name_of(*kind)),
                       is_packed(*kind) ? "unpack it, and give the file itself"
                       : *kind == ContentKind::lfs_pointer
                           ? "get the file: git lfs pull"
                           : "give a tokenizer.json, or a SentencePiece .model"};
  }
  if (path.extension() == ".json") return foreign_json(file);
  if (text.starts_with("#version:"))
    return ForeignFile{"a merges.txt alone, without its vocabulary", foreign_advice("merges.txt")};
  if (is_tiktoken(text)) return ForeignFile{"a tiktoken file, which is not read", std::string(kGiveJson)};
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && text[first] == '{' && kind_of_bytes(text) == Bytes::text)
    return ForeignFile{"JSON under a name that does not end in .json",
                       "name it tokenizer.json, if it is one"};
  return std::nullopt;
}

}  // namespace granule
