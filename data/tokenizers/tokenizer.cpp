#include "data/tokenizers/tokenizer.hpp"

#include "core/error.hpp"
#include "data/bpe/json_tokenizer.hpp"
#include "data/files/digest.hpp"
#include "data/files/files.hpp"
#include "data/tokenizers/sentencepiece_tokenizer.hpp"

namespace granule {

Tokenizer::Tokenizer(const std::filesystem::path& path) : path_(path), sha256_(sha256_of_file(path)) {}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  TextStream stream(*this, TextPosition::document_start);
  std::string text;
  for (const std::int32_t id : ids) text += stream.add(id);
  return text + stream.finish();
}

TextStream::TextStream(const Tokenizer& tokenizer, TextPosition position)
    : tokenizer_(tokenizer),
      drop_space_(position == TextPosition::document_start && tokenizer.adds_leading_space()) {}

std::string TextStream::add(std::int32_t id) {
  std::string bytes = tokenizer_.token_bytes(id);
  if (drop_space_ && !bytes.empty()) {
    drop_space_ = false;
    if (bytes.front() == ' ') bytes.erase(0, 1);
  }
  return characters_.add(bytes);
}

std::string TextStream::finish() {
  return characters_.finish();
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path, std::string_view eos) {
  require_regular_file(path);
  if (path.extension() == ".json") return open_json_tokenizer(path, eos);
  if (!eos.empty()) user_error("a SentencePiece model has its own EOS", path.string(), "leave out --eos");
  return open_sentencepiece(path);
}

std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files{path};
  const std::filesystem::path config = path.parent_path() / kTokenizerConfigFile;
  std::error_code error;
  if (path.extension() == ".json" && std::filesystem::is_regular_file(config, error)) files.push_back(config);
  return files;
}

}  // namespace granule
