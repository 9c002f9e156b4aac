// Token files of other programs to a data set, id for id.
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
  DocumentMarks marks;  ///< also what the shards say of BOS and EOS, where there is no tokenizer
  AddEos add_eos = AddEos::no;
};

/// Writes the data set; OUT appears only when it is complete. Documents without a token are left out. With a
/// `tokenizer`, shards say how many bytes of text each document is, and hold a copy of it. When no document
/// falls to validation, the tail of the last one is cut off for it as in build_shards, counted in tokens.
/// `progress` is called after each document. Throws a user error for files that are not what `format` says,
/// and for ids outside the vocabulary.
DataSetReport import_tokens(const ImportOptions& options, const Tokenizer* tokenizer,
                            const std::function<void(const DataSetReport&)>& progress = {});

}  // namespace granule
