// A data set under construction: documents of token ids become shards of the train and val splits, a
// manifest, and a copy of the tokenizer. Where the documents come from is not known here.
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
  double val_fraction = 0;                            ///< of the documents, in [0, 1)
  std::int64_t shard_tokens = std::int64_t{1} << 25;  ///< a shard ends with the document that reaches this
  Hdf5Layout layout = Hdf5Layout::contiguous;
  std::int64_t vocab_size = 0;  ///< of the model, where that is larger than the tokenizer's; 0: the same
};

struct SplitCounts {
  std::int64_t shards = 0;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;
  std::int64_t utf8_bytes = 0;  ///< of the documents where they are known
};

struct DataSetReport {
  SplitCounts train, val;
  std::int64_t unknown_tokens = 0;  ///< of those, ids of text that the tokenizer has no token for
  std::string missing_lock{};       ///< why the output is not locked; empty where it is
};

/// Whether document `index` (from 0, in the order of the source) is held back for validation. A fixed choice
/// by index, so that appending documents moves none of the others, and spread evenly: of any documents in a
/// row the fraction is held back, give or take a few.
[[nodiscard]] bool is_validation_document(std::int64_t index, double val_fraction);

/// Whether a document is the last one: only then is it known that validation would stay empty.
enum class DocumentPlace : std::uint8_t { inside, last };

class DataSetWriter {
 public:
  /// Throws a user error for options out of range and an OUT that is not empty. OUT appears with finish().
  DataSetWriter(const DataSetOptions& options, const ShardWriter::Vocabulary& vocabulary);

  /// The share of the next document that goes to validation: 0 or 1, and the fraction asked for of the only
  /// document of a source, whose tail it is. Of several documents each split gets at least one.
  [[nodiscard]] double validation_share(DocumentPlace place) const;
  /// A document or, of one that is cut in two, each part. `utf8_bytes` is known of all documents or of none.
  void add(Split split, std::span<const std::int32_t> ids, std::optional<std::int64_t> utf8_bytes);
  /// The same. A document that fills a shard alone goes to the file as it is read.
  void add(Split split, const DocumentStream& document);
  /// Call after the last part of a document.
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

/// The vocabulary of shards made with this tokenizer. Throws a user error when `vocab_size` is smaller.
[[nodiscard]] ShardWriter::Vocabulary vocabulary_of(const Tokenizer& tokenizer, std::int64_t vocab_size);

}  // namespace granule
