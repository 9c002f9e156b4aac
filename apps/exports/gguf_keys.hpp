// The keys of a GGUF file's header: what describes the model, and its tokenizer.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "apps/exports/export_request.hpp"
#include "data/gguf/gguf_writer.hpp"
#include "data/tokenizers/tokenizer.hpp"
#include "moe/config.hpp"
#include "nn/config.hpp"

namespace granule {

/// Keys general.* and those of the architecture. The model must be one that GGUF can express
/// (apps/exports/expressible.hpp).
void add_model_keys(GgufMetadata& metadata, const ModelConfig& model, const MoeConfig& moe, StoredType type,
                    const std::string& name);

/// Keys tokenizer.*. `bos` is the token that documents began with in training, if they did. The vocabulary is
/// padded to `vocab_size` pieces. Throws a user error for a tokenizer that llama.cpp cannot have. Returns
/// what llama.cpp does differently with some texts, or nothing.
std::string add_tokenizer_keys(GgufMetadata& metadata, const Tokenizer& tokenizer,
                               std::optional<std::int32_t> bos, std::int64_t vocab_size);

/// tokenizer.chat_template and its companions, for programs that chat. See chat_templates_in().
void add_chat_templates(GgufMetadata& metadata, const std::map<std::string, std::string>& templates);

}  // namespace granule
