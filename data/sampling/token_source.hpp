// One split of a data set. Its shards, in the order of names, are concatenated into one row of tokens and cut
// into samples.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/shards/shard.hpp"
#include "data/shards/split.hpp"

namespace granule {

/// DocumentMask::yes means that a token sees only its own document.
enum class DocumentMask : bool { no, yes };

/// One rank of a job checks the digests of a manifest, once.
enum class DigestCheck : std::uint8_t { verify, skip };

/// What the shards of a split say together. A value is absent if they do not say it.
struct TokenSourceSummary {
  std::int64_t tokens = 0;
  std::optional<std::int64_t> documents;
  std::optional<std::int64_t> utf8_bytes;  ///< of the documents' text, for bits per byte
  std::optional<std::int64_t> vocab_size, bos_id, eos_id;
  std::optional<std::string> tokenizer_sha256;

  /// Adds what more of the same data says, which was read from `where`. Counts are added, and are known only
  /// if both are. The rest must agree; otherwise it throws a user error.
  void add(const TokenSourceSummary& more, const std::filesystem::path& where);
};

/// The part of a document that lies in a given range of tokens. `shard` is the index of the shard. All other
/// numbers are counted within that shard, from 0.
struct DocumentPart {
  std::size_t shard;
  std::int64_t begin, end;               ///< the tokens [begin, end) are the part
  std::optional<std::int64_t> document;  ///< absent if the shard does not list its documents
  std::int64_t first = 0, last = 0;      ///< tokens [first, last) of the whole document, if it is known
};

/// Whose vocabulary is compared with that of the data. A config can take its vocabulary from the data; an
/// existing model keeps its own.
enum class VocabularyOf : bool { config, model };

/// Several threads may read. Every function that finds the data wrong throws a user error.
class TokenSource {
 public:
  /// Opens the shards that DIR/manifest.json names for the split, or `<split>-*.h5` if there is no manifest.
  TokenSource(const std::filesystem::path& directory, Split split, DigestCheck digests = DigestCheck::verify);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const TokenSourceSummary& summary() const { return summary_; }
  [[nodiscard]] std::span<const ShardReader> shards() const { return shards_; }
  /// SHA-256 over the digests of the shards in their order. It does not depend on where they are. It reads
  /// shards that no manifest lists. It also reads the tokens of shards whose tokens are in other files,
  /// because no digest of a shard covers those.
  [[nodiscard]] std::string digest() const;

  /// Refuses shards that were made with another vocabulary or tokenizer, and any id outside the vocabulary,
  /// for which it reads every token once. If `tokenizer_sha256` is empty, it compares only the vocabulary.
  /// The advice depends on whose vocabulary it is.
  void require_vocabulary(std::int64_t vocab_size, const std::string& tokenizer_sha256,
                          VocabularyOf owner = VocabularyOf::config) const;

  /// n = ⌊(tokens − 1) / seq_len⌋. Throws if that is 0.
  [[nodiscard]] std::int64_t samples(std::int64_t seq_len) const;
  /// Sample j: seq_len + 1 tokens from j · seq_len on. `out` must have that size.
  void read_sample(std::int64_t sample, std::int64_t seq_len, std::span<std::int32_t> out) const;
  /// Tokens [begin, begin + out.size()), across shards.
  void read(std::int64_t begin, std::span<std::int32_t> out) const;

  /// The documents that tokens [begin, end) of the row are part of, in order. A shard without /doc_offsets is
  /// one piece.
  [[nodiscard]] std::vector<DocumentPart> documents_in(std::int64_t begin, std::int64_t end) const;
  /// The BOS with which documents begin, as far as the first documents of every shard show. Absent if some do
  /// not begin with it, or if a shard does not say which token it is or where documents begin.
  [[nodiscard]] std::optional<std::int32_t> bos_of_documents() const;
  /// Refuses shards that do not say where their documents begin (no /doc_offsets). The error names the shard.
  void require_documents() const;
  /// For each of the first seq_len tokens of sample j: where in the sample its own document begins, or 0 if
  /// that was earlier. A shard begins with a document. `out` must have seq_len elements.
  void read_first_keys(std::int64_t sample, std::int64_t seq_len, std::span<std::int32_t> out) const;

  /// UTF-8 bytes of the text in tokens [begin, end). If the range cuts a document, these are the bytes of the
  /// document's tokens in the range. They count in proportion if the bytes of all its tokens are not the
  /// document's, because the tokenizer changes text. Without the data's tokenizer, the document counts in
  /// proportion to its tokens. Absent if a shard does not say.
  [[nodiscard]] std::optional<double> utf8_bytes_in(std::int64_t begin, std::int64_t end) const;

 private:
  void summarise();
  [[nodiscard]] double bytes_of_part(std::size_t shard, std::size_t document, std::int64_t begin,
                                     std::int64_t end) const;
  [[nodiscard]] std::int64_t bytes_between(std::int64_t begin, std::int64_t end, std::int64_t document) const;
  [[nodiscard]] std::size_t shard_of(std::int64_t token) const;

  std::filesystem::path directory_;
  Split split_;
  std::vector<ShardReader> shards_;
  std::vector<std::int64_t> begins_;  // the first token of each shard, and the end
  std::vector<std::string> sha256_;   // of each shard, from the manifest; empty: not listed
  TokenSourceSummary summary_;
  struct Lengths;
  std::shared_ptr<Lengths> lengths_;  // lengths of tokens, found when a document is cut for the first time
};

/// DIR/tokenizer.model or DIR/tokenizer.json, whichever exists.
[[nodiscard]] std::optional<std::filesystem::path> find_tokenizer(const std::filesystem::path& directory);

}  // namespace granule
