// The tokenizer files that the export of a checkpoint has. With them, other programs get the tokens that
// training saw.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

struct ExportedTokenizer {
  nlohmann::json config{};  ///< tokenizer_config.json
  nlohmann::json file{};    ///< tokenizer.json if it differs from the checkpoint's, else null
  std::string no_json{};    ///< why a SentencePiece model has no tokenizer.json beside it; empty if it has

  /// Removes the files that are written anew from those that are copied.
  void take_out_of(std::vector<std::filesystem::path>& copied) const;
};

/// `bos` is the token that documents began with in training, if they did. Nothing else is added to a text.
/// A SentencePiece model gets a tokenizer.json with the same ids, if there is none in its folder.
/// `positions` are those of the model.
[[nodiscard]] ExportedTokenizer exported_tokenizer(const Tokenizer& tokenizer,
                                                   std::optional<std::int32_t> bos, std::int64_t positions);

}  // namespace granule
