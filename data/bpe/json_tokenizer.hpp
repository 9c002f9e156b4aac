// BPE as a tokenizer.json describes it (GPT-2, Llama, Qwen, DeepSeek, Gemma). It gives the ids of
// the tokenizers library without special tokens added. Files of other kinds, and settings that are not
// understood, are refused by the name of their field.
#pragma once
#include <filesystem>
#include <memory>
#include <string_view>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// `eos` names the token that ends a document. If it is empty, tokenizer_config.json in the same folder
/// decides, and without it the only added token with a usual name. Throws a user error if the file is not
/// understood, and if the EOS is not in it or could be several tokens.
[[nodiscard]] std::unique_ptr<Tokenizer> open_json_tokenizer(const std::filesystem::path& path,
                                                             std::string_view eos);

}  // namespace granule
