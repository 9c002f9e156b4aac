// Which tokens of a tokenizer.json begin and end documents. The file itself does not say; by Hugging Face's
// convention tokenizer_config.json beside it does.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe/added_tokens.hpp"
#include "data/bpe/vocabulary.hpp"

namespace granule {

struct DocumentEnds {
  std::optional<std::int32_t> bos, eos;
  /// A tokenizer_config.json that says the same; empty where the tokens' names do.
  std::string config;
};

/// EOS is `eos` unless that is empty; else what the config beside `tokenizer` says; else the added token with
/// a usual name, if there is one. BOS likewise. Throws a user error when the config names a token that does
/// not exist, and when several added tokens could be EOS.
[[nodiscard]] DocumentEnds find_document_ends(const std::filesystem::path& tokenizer, std::string_view eos,
                                              const Vocabulary& vocabulary,
                                              const std::vector<AddedToken>& added);

}  // namespace granule
