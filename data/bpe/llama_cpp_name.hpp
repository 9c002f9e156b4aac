// The name that llama.cpp has for the rules of a tokenizer.json that cut text into words.
#pragma once
#include <optional>
#include <string>

#include "data/files/json_field.hpp"

namespace granule {

/// The name, if the file's normalizer, its pre_tokenizer and ignore_merges are those of rules that llama.cpp
/// has: "gpt-2", "llama-bpe", "qwen2", "deepseek-v3", … llama.cpp never applies a normal form. So the NFC of
/// files such as Qwen's is passed over, as llama.cpp's own converter does. `file` is a file that was
/// understood.
[[nodiscard]] std::optional<std::string> llama_cpp_name(const JsonField& file);

}  // namespace granule
