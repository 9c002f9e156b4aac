#include "data/tokenizers/tokenizer.hpp"

#include "data/tokenizers/special_tokens.hpp"

namespace granule {

EncodingError::EncodingError(std::string_view what, std::string_view where, std::string_view advice)
    : Error(ExitCode::user, what, where, advice), problem_(what), advice_(advice) {}

void EncodingError::refuse(std::string_view where) const {
  user_error(problem_, where, advice_);
}

Tokenizer::Tokenizer(const std::filesystem::path& path) : path_(path), sha256_(tokenizer_digest(path)) {}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  TextStream stream(*this, TextPosition::document_start);
  std::string text;
  for (const std::int32_t id : ids) text += stream.add(id);
  return text + stream.finish();
}

std::string Tokenizer::first_token_bytes(std::int32_t id) const {
  std::string bytes = token_bytes(id);
  if (adds_leading_space() && bytes.starts_with(' ')) bytes.erase(0, 1);
  return bytes;
}

TextStream::TextStream(const Tokenizer& tokenizer, TextPosition position)
    : tokenizer_(tokenizer), at_start_(position == TextPosition::document_start) {}

std::string TextStream::add(std::int32_t id) {
  const std::string bytes = tokenizer_.token_bytes(id);
  if (!at_start_ || bytes.empty()) return characters_.add(bytes);
  at_start_ = false;
  return characters_.add(tokenizer_.first_token_bytes(id));
}

std::string TextStream::finish() {
  return characters_.finish();
}

std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files{path};
  const std::filesystem::path config = path.parent_path() / kTokenizerConfigFile;
  std::error_code error;
  if (path.extension() == ".json" && std::filesystem::is_regular_file(config, error)) files.push_back(config);
  return files;
}

}  // namespace granule
