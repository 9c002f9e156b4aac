// Turns text into a data set.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>

#include "data/shards/data_set_writer.hpp"
#include "data/text/text_source.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Where to cut the last `tail_bytes`, or somewhat more, off a document. That is after a line end if there is
/// one, else before a space, else between two characters. 0 if the text has only one character.
[[nodiscard]] std::size_t tail_cut(std::string_view text, std::size_t tail_bytes);

/// Whether documents begin with the tokenizer's BOS.
enum class AddBos : std::uint8_t { no, yes };

/// Writes the data set. Each document gets an EOS at its end and, if asked for, a BOS at its beginning. If a
/// document is cut, its two parts are two documents. OUT appears only when it is complete. Whole documents
/// are held back for validation (DataSetWriter says which). If there is only one, such as a book, its tail is
/// held back: the fraction of its bytes, or a little more. `progress` is called after each document.
DataSetReport build_shards(TextSource& text, Tokenizer& tokenizer, const DataSetOptions& options,
                           const std::function<void(const DataSetReport&)>& progress = {},
                           AddBos bos = AddBos::no);

}  // namespace granule
