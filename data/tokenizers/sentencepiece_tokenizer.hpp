// SentencePiece models, encoded word by word with the same ids as whole documents. Only the tokenizer uses
// this file.
#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Throws a user error if the file is not a SentencePiece model, or in a build without SentencePiece.
[[nodiscard]] std::unique_ptr<Tokenizer> open_sentencepiece(const std::filesystem::path& path);

}  // namespace granule
