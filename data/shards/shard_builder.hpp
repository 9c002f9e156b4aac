// Text to a data set.
#pragma once
#include <functional>
#include <string_view>

#include "data/shards/data_set_writer.hpp"
#include "data/text/text_source.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Where to cut the last `tail_bytes` or somewhat more off a document: behind a line end if there is one,
/// else before a space, else between two characters. 0 when the text has only one character.
[[nodiscard]] std::size_t tail_cut(std::string_view text, std::size_t tail_bytes);

/// Writes the data set, each document with an EOS behind it; OUT appears only when it is complete. When no
/// document falls to validation (few documents, or a single book), the tail of the last one is cut off for it
/// instead: as many bytes as the fraction asks for, of several documents at most half of the last. `progress`
/// is called after each document.
DataSetReport build_shards(TextSource& text, Tokenizer& tokenizer, const DataSetOptions& options,
                           const std::function<void(const DataSetReport&)>& progress = {});

}  // namespace granule
