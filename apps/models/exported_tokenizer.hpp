// The tokenizer files of a checkpoint as its export has them: called by other programs, the tokenizer gives
// what training saw.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "data/tokenizers/tokenizer.hpp"

namespace granule {

struct ExportedTokenizer {
  nlohmann::json config{};  ///< tokenizer_config.json
  nlohmann::json file{};    ///< tokenizer.json, where it differs from the checkpoint's; else null

  /// Takes the files that are written anew out of those that are copied.
  void take_out_of(std::vector<std::filesystem::path>& copied) const;
};

/// `bos` is what documents began with in training, if they did; nothing else is put around a text.
/// `positions` are those of the model.
[[nodiscard]] ExportedTokenizer exported_tokenizer(const Tokenizer& tokenizer,
                                                   std::optional<std::int32_t> bos, std::int64_t positions);

}  // namespace granule
