// A tokenizer.json made of a SentencePiece model, as Hugging Face's converters make one for Llama.
#pragma once
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "data/tokenizers/vocabulary_listing.hpp"

namespace granule {

/// Why there is no tokenizer.json that gives the same ids. Empty if there is one.
[[nodiscard]] std::string beyond_json(const VocabularyListing& listing);

/// The file, for a listing with scores that is not beyond it. It gives the same ids for every text that does
/// not spell a special token, such as "</s>". There the library finds that token, and SentencePiece does not.
/// No BOS is added.
[[nodiscard]] nlohmann::json json_from_pieces(const VocabularyListing& listing);

}  // namespace granule
