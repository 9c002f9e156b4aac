// Shards: token files in HDF5. We write our own layout (docs/data.md). Reading also takes what other software
// writes: any file with a rank-1 integer dataset /data.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/files.hpp"
#include "data/hdf5/hdf5_reader.hpp"
#include "data/hdf5/hdf5_writer.hpp"

namespace granule {

inline constexpr std::string_view kShardFormat = "granule-shard/1";

/// What a shard says about itself in its root attributes. In files of other software all of it is optional.
struct ShardAttributes {
  std::optional<std::string> format, tokenizer_sha256, created_by;
  std::optional<std::int64_t> n_tokens, n_docs, vocab_size, bos_id, eos_id;
};

/// A document that need not be in memory. Its ids come in order, in parts.
struct DocumentStream {
  using Sink = std::function<void(std::span<const std::int32_t>)>;
  std::int64_t tokens = 0;
  /// Gives all tokens to the sink. Returns the length of the text in UTF-8 bytes, if it is known.
  std::function<std::optional<std::int64_t>(const Sink&)> read;
};

/// Collects documents in memory and writes them as one file. The last one may be larger than memory.
class ShardWriter {
 public:
  struct Vocabulary {
    std::int64_t vocab_size = 0;
    std::int64_t bos_id = -1;  ///< -1: the tokenizer has none
    std::int64_t eos_id = -1;
    std::string tokenizer_sha256;
  };
  ShardWriter(Vocabulary vocabulary, Hdf5Layout layout);

  /// Adds one document: its ids, EOS included, and its length in UTF-8 bytes. The length must be known for
  /// all documents of a shard or for none. If for none, the shard has no /doc_bytes.
  void add_document(std::span<const std::int32_t> ids, std::optional<std::int64_t> utf8_bytes);
  void add_document(const DocumentStream& document);
  [[nodiscard]] std::int64_t tokens() const { return static_cast<std::int64_t>(ids_.size()); }
  [[nodiscard]] std::int64_t documents() const { return static_cast<std::int64_t>(offsets_.size()) - 1; }
  /// Writes what was collected to `path`, which must not exist, and starts again with an empty shard.
  void write(const std::filesystem::path& path) { write(path, nullptr); }
  /// The same with one more document, which is not held in memory.
  void write(const std::filesystem::path& path, const DocumentStream& last) { write(path, &last); }

 private:
  void write(const std::filesystem::path& path, const DocumentStream* last);
  void write_tokens(Hdf5Writer& file, const DocumentStream* last);
  void require_ids(std::span<const std::int32_t> ids) const;
  void count_bytes(std::optional<std::int64_t> utf8_bytes);

  Vocabulary vocabulary_;
  Hdf5Layout layout_;
  std::vector<std::uint32_t> ids_;
  std::vector<std::uint64_t> offsets_{0};
  std::vector<std::uint32_t> bytes_;
};

/// One shard that is open for reading. Several threads may read tokens at once.
class ShardReader {
 public:
  /// Throws a user error that names the file, unless it is a well-formed shard.
  explicit ShardReader(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::int64_t tokens() const { return layout_.numel(); }
  [[nodiscard]] const ShardAttributes& attributes() const { return attributes_; }
  [[nodiscard]] const Hdf5Dataset& layout() const { return layout_; }
  [[nodiscard]] bool mapped() const { return mapping_.has_value(); }
  /// Whether all tokens are in this file. Links, virtual datasets and external storage of HDF5 lead to other
  /// files.
  [[nodiscard]] Hdf5Place place() const { return place_; }

  /// n_docs + 1 rising token offsets, from 0 to tokens(). Empty if the shard has no /doc_offsets.
  [[nodiscard]] std::span<const std::int64_t> document_offsets() const { return offsets_; }
  /// UTF-8 bytes of each document. Empty if the shard has no /doc_bytes.
  [[nodiscard]] std::span<const std::int64_t> document_bytes() const { return bytes_; }

  /// Tokens [begin, begin + out.size()). The ids are those of the file and not checked; see check_ids.
  void read(std::int64_t begin, std::span<std::int32_t> out) const;
  /// Reads every token and throws a user error for the first id outside [0, vocab_size).
  void check_ids(std::int64_t vocab_size) const;

 private:
  void read_attributes();
  void read_documents();
  void map_tokens();
  [[nodiscard]] std::optional<std::int64_t> first_bad_id(std::int64_t vocab_size) const;

  std::filesystem::path path_;
  std::optional<Hdf5Reader> file_;  // closed after the tokens have been mapped
  Hdf5Place place_ = Hdf5Place::this_file;
  Hdf5Dataset layout_;
  ShardAttributes attributes_;
  std::vector<std::int64_t> offsets_, bytes_;
  std::optional<MappedFile> mapping_;
  std::span<const std::byte> data_;  // the tokens in the mapping
};

}  // namespace granule
