#include "data/open_tokenizer.hpp"

#include "core/error.hpp"
#include "data/bpe/json_tokenizer.hpp"
#include "data/files/files.hpp"
#include "data/tokenizers/foreign_file.hpp"
#include "data/tokenizers/sentencepiece_tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

bool is_json(const fs::path& path) {
  return path.extension() == ".json";
}

/// A SentencePiece model is preferred, as in the folder of a model, because some directories have both.
fs::path tokenizer_in(const fs::path& directory) {
  std::error_code error;
  const fs::path model = directory / kSentencePieceFile, json = directory / kTokenizerJsonFile;
  const bool has_json = fs::exists(json, error);
  if (fs::exists(model, error) && !(has_json && foreign_file(model))) return model;
  if (has_json) return json;
  for (const char* const name : {"vocab.json", "merges.txt", "tekken.json", "vocab.txt", "spiece.model"}) {
    if (!fs::exists(directory / name, error)) continue;
    user_error(fmt::format("the directory holds a {}, but no tokenizer.json and no tokenizer.model", name),
               directory.string(), foreign_advice(name));
  }
  user_error("the directory holds no tokenizer.json and no tokenizer.model", directory.string(),
             "give the tokenizer's file, or a directory that holds one");
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& given, std::string_view eos) {
  std::error_code error;
  const fs::path path = fs::is_directory(given, error) ? tokenizer_in(given) : given;
  require_regular_file(path);
  if (const auto foreign = foreign_file(path)) user_error(foreign->what, path.string(), foreign->advice);
  if (is_json(path)) return open_json_tokenizer(path, eos);
  auto tokenizer = open_sentencepiece(path);
  if (!eos.empty() && tokenizer->eos_id())
    user_error("a SentencePiece model has its own EOS", path.string(), "leave out --eos");
  if (!eos.empty()) user_error("--eos cannot give a SentencePiece model an EOS", path.string(), kNoEosAdvice);
  return tokenizer;
}

}  // namespace granule
