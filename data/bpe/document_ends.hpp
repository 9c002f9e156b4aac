// Which tokens of a tokenizer.json begin and end documents. The file itself does not say. By Hugging Face's
// convention, tokenizer_config.json in the same folder does.
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
  /// The tokens that could be EOS, if they are several and nothing says which. `eos` is then empty.
  std::vector<std::string> undecided;
  /// A tokenizer_config.json that says the same. Empty if the names of the tokens say it.
  std::string config;
};

/// EOS is the first of these that is there: `eos`, what the config in the folder of `tokenizer` says, and the
/// added token with a usual name. BOS is found in the same way. Throws a user error if the config names a
/// token that does not exist.
[[nodiscard]] DocumentEnds find_document_ends(const std::filesystem::path& tokenizer, std::string_view eos,
                                              const Vocabulary& vocabulary,
                                              const std::vector<AddedToken>& added);

/// The EOS of `ends`, which may be missing. Throws a user error if it is undecided, because only callers that
/// need EOS can ask the user for it.
[[nodiscard]] std::optional<std::int32_t> decided_eos(const DocumentEnds& ends,
                                                      const std::filesystem::path& tokenizer);

}  // namespace granule
