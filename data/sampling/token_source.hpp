// One split of a data set: its shards in name order, concatenated into one row of tokens and cut into
// samples.
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

/// DocumentMask::yes: a token sees its own document only.
enum class DocumentMask : bool { no, yes };

/// Digests of a manifest are checked once per job: by one of its ranks.
enum class DigestCheck : std::uint8_t { verify, skip };

/// What the shards of a split say together; absent where they do not say it.
struct TokenSourceSummary {
  std::int64_t tokens = 0;
  std::optional<std::int64_t> documents;
  std::optional<std::int64_t> utf8_bytes;  ///< of the documents' text, for bits per byte
  std::optional<std::int64_t> vocab_size, bos_id, eos_id;
  std::optional<std::string> tokenizer_sha256;

  /// Adds what more of the same data says, read from `where`: counts add up, and are known only where both
  /// are; the rest must agree, else it throws a user error.
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

/// Reading is safe from several threads. Every function that finds the data wrong throws a user error.
class TokenSource {
 public:
  /// Opens the shards that DIR/manifest.json names for the split; without a manifest `<split>-*.h5`.
  TokenSource(const std::filesystem::path& directory, Split split, DigestCheck digests = DigestCheck::verify);

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] const TokenSourceSummary& summary() const { return summary_; }
  [[nodiscard]] std::span<const ShardReader> shards() const { return shards_; }
  /// SHA-256 over those of the shards in their order, wherever they lie. Reads shards that no manifest lists,
  /// and the tokens of those whose tokens lie in other files, which no digest of a shard covers.
  [[nodiscard]] std::string digest() const;

  /// Refuses shards made with another vocabulary or tokenizer, and any id outside the vocabulary (reads every
  /// token once). An empty `tokenizer_sha256` compares the vocabulary only. What can be done about it depends
  /// on who gave the vocabulary.
  void require_vocabulary(std::int64_t vocab_size, const std::string& tokenizer_sha256,
                          VocabularyOf owner = VocabularyOf::config) const;

  /// n = ⌊(tokens − 1) / seq_len⌋; throws when that is none.
  [[nodiscard]] std::int64_t samples(std::int64_t seq_len) const;
  /// Sample j: the seq_len + 1 tokens from j · seq_len on; `out` has that size.
  void read_sample(std::int64_t sample, std::int64_t seq_len, std::span<std::int32_t> out) const;
  /// Tokens [begin, begin + out.size()), across shards.
  void read(std::int64_t begin, std::span<std::int32_t> out) const;

  /// What tokens [begin, end) of the row are part of, in order; shards without /doc_offsets are one piece.
  [[nodiscard]] std::vector<DocumentPart> documents_in(std::int64_t begin, std::int64_t end) const;
  /// The BOS that documents begin with: each of the first ones of every shard. Absent where some do not, or
  /// where a shard does not say which token that is or where documents begin.
  [[nodiscard]] std::optional<std::int32_t> bos_of_documents() const;
  /// Refuses shards that do not say where their documents begin (no /doc_offsets), by name.
  void require_documents() const;
  /// For each of the first seq_len tokens of sample j, where in the sample its own document begins: 0 when
  /// that was earlier. A shard begins with a document. `out` has seq_len places.
  void read_first_keys(std::int64_t sample, std::int64_t seq_len, std::span<std::int32_t> out) const;

  /// UTF-8 bytes of the text in tokens [begin, end). Of a document that the range cuts, the bytes that its
  /// tokens in the range stand for, in proportion where those of all its tokens are not its own (a tokenizer
  /// that changes text). Without the data's tokenizer it counts in proportion to its tokens. Absent when a
  /// shard does not say.
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
  std::vector<std::int64_t> begins_;  // first token of each shard, and the end
  std::vector<std::string> sha256_;   // of each shard, from the manifest; empty: not listed
  TokenSourceSummary summary_;
  struct Lengths;
  std::shared_ptr<Lengths> lengths_;  // of tokens: looked up when a document is cut for the first time
};

/// DIR/tokenizer.model or DIR/tokenizer.json, whichever is there.
[[nodiscard]] std::optional<std::filesystem::path> find_tokenizer(const std::filesystem::path& directory);

}  // namespace granule
