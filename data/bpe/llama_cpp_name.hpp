// The name that llama.cpp has for the rules of a tokenizer.json that cut text into words.
#pragma once
#include <optional>
#include <string>

#include "data/files/json_field.hpp"

namespace granule {

struct LlamaCppName {
  std::string name;      ///< "gpt-2", "llama-bpe", "qwen2", "deepseek-v3", …
  std::string caveat{};  ///< what llama.cpp does differently with some texts; empty if nothing is known
};

/// The name, if the file's normalizer, its pre_tokenizer and ignore_merges are those of rules that llama.cpp
/// has. It never applies a normal form. So the NFC of files such as Qwen's is passed over with a caveat, as
/// llama.cpp's own converter does. `file` is a file that was understood.
[[nodiscard]] std::optional<LlamaCppName> llama_cpp_name(const JsonField& file);

}  // namespace granule
