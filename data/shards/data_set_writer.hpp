// A data set under construction. Documents of token ids become shards of the train and val splits, a
// manifest, and a copy of the tokenizer. It does not know where the documents come from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "data/files/output_directory.hpp"
#include "data/shards/manifest.hpp"
#include "data/shards/shard.hpp"
#include "data/shards/split.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {

struct DataSetOptions {
  std::filesystem::path out;                          ///< new or empty
  double val_fraction = 0;                            ///< fraction of the documents, in [0, 1)
  std::int64_t shard_tokens = std::int64_t{1} << 25;  ///< a shard ends with the document that reaches this
  Hdf5Layout layout = Hdf5Layout::contiguous;
  /// Vocabulary of the model, if it is larger than the tokenizer's; 0: the same.
  std::int64_t vocab_size = 0;
};

struct SplitCounts {
  std::int64_t shards = 0;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t utf8_bytes = 0;  ///< of the documents for which they are known
};

struct DataSetReport {
  SplitCounts train, val;
  std::int64_t unknown_tokens = 0;  ///< ids for text that the tokenizer has no token for
  std::string missing_lock{};       ///< why the output is not locked; empty if it is
};

/// Whether document `index` (from 0, in the order of the source) is held back for validation. The choice
/// depends on the index alone, so documents that are appended do not move any other. It is spread evenly: of
/// any documents in a row about this fraction is held back.
[[nodiscard]] bool is_validation_document(std::int64_t index, double val_fraction);

/// Whether a document is the last one. Only then it is certain that validation would stay empty.
enum class DocumentPlace : std::uint8_t { inside, last };

class DataSetWriter {
 public:
  /// Throws a user error for options out of range, and if OUT is not empty. OUT appears with finish().
  DataSetWriter(const DataSetOptions& options, const ShardWriter::Vocabulary& vocabulary);

  /// The fraction of the next document that goes to validation. It is 0 or 1, but the only document of a
  /// source is cut: its tail goes to validation, the fraction that was asked for. If there are several
  /// documents, each split gets at least one.
  [[nodiscard]] double validation_share(DocumentPlace place) const;
  /// Adds a document, or each part of one that is cut in two. `utf8_bytes` must be known for all documents or
  /// for none.
  void add(Split split, std::span<const std::int32_t> ids, std::optional<std::int64_t> utf8_bytes);
  /// The same. A document that fills a shard alone is written as it is read.
  void add(Split split, const DocumentStream& document);
  /// Call it after the last part of a document.
  void next_document() { ++index_; }

  [[nodiscard]] DataSetReport report() const {
    return {.train = train_.counts, .val = val_.counts, .missing_lock = directory_.missing_lock()};
  }
  /// Writes what is left, copies the tokenizer if there is one, and publishes the directory.
  void finish(const Tokenizer* tokenizer);

 private:
  struct SplitState {
    ShardWriter writer;
    SplitCounts counts = {};
    std::vector<ManifestShard> shards = {};
  };
  [[nodiscard]] SplitState& state_of(Split split) { return split == Split::train ? train_ : val_; }
  void count(Split split, std::int64_t tokens, std::optional<std::int64_t> utf8_bytes);
  void write_shard(Split split, const DocumentStream* last = nullptr);
  void copy_tokenizer(const Tokenizer& tokenizer) const;

  DataSetOptions options_;
  ShardWriter::Vocabulary vocabulary_;
  OutputDirectory directory_;
  SplitState train_, val_;
  std::int64_t index_ = 0;
};

/// The vocabulary of shards made with this tokenizer. Throws a user error if `vocab_size` is smaller.
[[nodiscard]] ShardWriter::Vocabulary vocabulary_of(const Tokenizer& tokenizer, std::int64_t vocab_size);

}  // namespace granule
