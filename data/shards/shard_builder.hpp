// Text to a data set: shards of the train and val splits, a manifest, and a copy of the tokenizer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "data/shards/hdf5.hpp"
#include "data/shards/text_source.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

struct ShardBuildOptions {
  std::filesystem::path out;                          ///< new or empty
  double val_fraction = 0;                            ///< of the documents, in [0, 1)
  std::int64_t shard_tokens = std::int64_t{1} << 25;  ///< a shard ends with the document that reaches this
  Hdf5Layout layout = Hdf5Layout::contiguous;
};

struct SplitCounts {
  std::int64_t shards = 0;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;  ///< with an EOS for each document
  std::int64_t utf8_bytes = 0;
};

struct ShardBuildReport {
  SplitCounts train, val;
};

/// Whether document `index` (from 0, in the order of the source) is held back for validation: a fixed random
/// choice by index, so that appending documents moves none of the others.
[[nodiscard]] bool is_validation_document(std::int64_t index, double val_fraction);

/// Where to cut the last `tail_bytes` or somewhat more off a document: behind a line end if there is one,
/// else before a space, else between two characters. 0 when the text has only one character.
[[nodiscard]] std::size_t tail_cut(std::string_view text, std::size_t tail_bytes);

/// Writes the data set; OUT appears only when it is complete. When no document falls to validation (few
/// documents, or a single book), the tail of the last one is cut off for it instead: as many bytes as the
/// fraction asks for, of several documents at most half of the last. `progress` is called after each
/// document.
ShardBuildReport build_shards(TextSource& text, Tokenizer& tokenizer, const ShardBuildOptions& options,
                              const std::function<void(const ShardBuildReport&)>& progress = {});

}  // namespace granule
