// Opens a tokenizer. Only this file knows every kind of tokenizer file.
#pragma once
#include <filesystem>
#include <memory>
#include <string_view>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Opens a SentencePiece model or a BPE tokenizer.json (any name that ends in .json). A
/// directory with one of them, such as a Hugging Face one, also works. `eos` is the token that ends
/// documents, if a tokenizer.json does not say it. For anything else it throws a user error that says what
/// the file is and which file to give instead.
[[nodiscard]] std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path,
                                                        std::string_view eos = {});

}  // namespace granule
