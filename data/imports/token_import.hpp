// Turns token files of other programs into a data set, id for id.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "data/imports/token_file.hpp"
#include "data/shards/data_set_writer.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

/// Whether a document that does not end with EOS gets one.
enum class AddEos : std::uint8_t { no, yes };

struct ImportOptions {
  DataSetOptions set;  ///< without a tokenizer its vocab_size must be given
  TokenFormat format = TokenFormat::megatron;
  std::vector<std::filesystem::path> files;
  /// Where to cut. Without a tokenizer, the shards also name these ids as BOS and EOS.
  DocumentMarks marks;
  AddEos add_eos = AddEos::no;
};

/// Writes the data set; OUT appears only when it is complete. Documents without a token are left out. With a
/// `tokenizer`, shards say how many bytes of text each document has, and the data set has a copy of it. If no
/// document is held back for validation, the tail of the last one is, as in build_shards but counted in
/// tokens. `progress` is called after each document. Throws a user error for files that are not what `format`
/// says, and for ids outside the vocabulary.
DataSetReport import_tokens(const ImportOptions& options, const Tokenizer* tokenizer,
                            const std::function<void(const DataSetReport&)>& progress = {});

}  // namespace granule
