// Private to the tokenizer: SentencePiece models, encoded word by word with the same ids as whole documents.
#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Throws a user error for a file that is no SentencePiece model, or in a build without SentencePiece.
[[nodiscard]] std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& path);

}  // namespace granule
