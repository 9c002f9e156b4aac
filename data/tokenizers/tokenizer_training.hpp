// Trains new vocabularies: SentencePiece BPE with byte fallback.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "data/text/text_source.hpp"

namespace granule {

struct TrainedTokenizer {
  std::string model;            ///< the content of a `.model` file
  std::int64_t text_bytes = 0;  ///< of all documents, which compressed files have more of than bytes
  std::int64_t signs_cut = 0;   ///< how often the text has ▅ (U+2585), which SentencePiece cannot take
};

/// Trains on all documents of `text`. The ids are 0 <unk>, 1 <s>, 2 </s>, 256 bytes, then pieces. The same
/// text gives the same bytes. Lines are cut at ▅, because SentencePiece would drop them. Throws a user error
/// if there is no text, or not enough for `vocab_size` pieces. `on_document` is called after each document.
[[nodiscard]] TrainedTokenizer train_tokenizer(TextSource& text, std::int64_t vocab_size,
                                               const std::function<void()>& on_document = {});

}  // namespace granule
