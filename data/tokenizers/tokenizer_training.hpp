// Training of new vocabularies: SentencePiece BPE with byte fallback.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "data/text/text_source.hpp"

namespace granule {

/// Trains on all documents of `text` and returns the content of a `.model` file: id 0 <unk>, 1 <s>, 2 </s>,
/// 256 bytes, then pieces. The same text gives the same bytes. Throws a user error when there is no text or
/// not enough for `vocab_size` pieces. `on_document` is called after each document read.
[[nodiscard]] std::string train_tokenizer(TextSource& text, std::int64_t vocab_size,
                                          const std::function<void()>& on_document = {});

}  // namespace granule
