// Byte-level BPE as a tokenizer.json describes it (GPT-2, DeepSeek-V2 and V3, Llama 3): the same ids as the
// tokenizers library gives without special tokens added. Files of other kinds, and settings that are not
// understood, are refused by the name of their field.
#pragma once
#include <filesystem>
#include <memory>
#include <string_view>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// `eos` names the token that ends a document; empty: what tokenizer_config.json beside the file says, else
/// the one added token with a usual name. Throws a user error for a file that is not read, or an EOS that is
/// not in it or could be several.
[[nodiscard]] std::unique_ptr<Tokenizer> open_json_tokenizer(const std::filesystem::path& path,
                                                             std::string_view eos);

}  // namespace granule
