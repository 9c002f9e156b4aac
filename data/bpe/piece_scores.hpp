// The merges of a tokenizer.json as SentencePiece's scores, which is how llama.cpp takes BPE of characters.
#pragma once
#include <string>

#include "data/bpe/vocabulary.hpp"
#include "data/files/json_field.hpp"
#include "data/tokenizers/vocabulary_listing.hpp"

namespace granule {

/// Changes a listing of pieces so that it has scores, and whether a space is put before a text. If joining
/// pieces by these scores finds other ids than the file, the listing has an obstacle. `file` is a file that
/// was understood, and `vocabulary` is its model, whose words consist of characters.
void give_scores(VocabularyListing& listing, const JsonField& file, const Vocabulary& vocabulary);

}  // namespace granule
