// Opening a tokenizer: the one place that knows every kind of tokenizer file.
#pragma once
#include <filesystem>
#include <memory>
#include <string_view>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Opens a SentencePiece model, the tokenizer.json of a byte-level BPE (any name that ends in .json), or a
/// directory that holds one of them, such as a Hugging Face one. `eos` is the token that ends documents, for
/// a tokenizer.json that leaves it open. Throws a user error for anything else, which says what the file is
/// and which file to give instead.
[[nodiscard]] std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path,
                                                        std::string_view eos = {});

}  // namespace granule
