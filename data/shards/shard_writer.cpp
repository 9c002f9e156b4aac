#include <limits>
#include <utility>

#include "core/error.hpp"
#include "data/shards/shard.hpp"

namespace granule {
namespace {
constexpr std::int64_t kMaxVocabU16 = 65536;
}  // namespace

ShardWriter::ShardWriter(Vocabulary vocabulary, Hdf5Layout layout)
    : vocabulary_(std::move(vocabulary)), layout_(layout) {
  GRANULE_CHECK(
      vocabulary_.vocab_size > 0 && vocabulary_.vocab_size <= std::numeric_limits<std::int32_t>::max(),
      "ShardWriter: a vocabulary of {} tokens", vocabulary_.vocab_size);
}

void ShardWriter::add_document(std::span<const std::int32_t> ids, std::optional<std::int64_t> utf8_bytes) {
  const std::int64_t bytes = utf8_bytes.value_or(0);
  GRANULE_CHECK(bytes >= 0, "ShardWriter: a document of {} bytes", bytes);
  GRANULE_CHECK(documents() == 0 || bytes_.empty() != utf8_bytes.has_value(),
                "ShardWriter: bytes of some documents and not of others, {} so far", documents());
  if (bytes > std::numeric_limits<std::uint32_t>::max()) {
    user_error(fmt::format("a document of {} bytes", bytes), "shards hold documents up to 4 GiB",
               "split the text into smaller files or use --split-lines");
  }
  for (const std::int32_t id : ids) {
    GRANULE_CHECK(id >= 0 && id < vocabulary_.vocab_size, "ShardWriter: id {} of a vocabulary of {}", id,
                  vocabulary_.vocab_size);
  }
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  offsets_.push_back(ids_.size());
  if (utf8_bytes) bytes_.push_back(static_cast<std::uint32_t>(bytes));
}

void ShardWriter::write(const std::filesystem::path& path) {
  Hdf5Writer file(path);
  const DType stored = vocabulary_.vocab_size > kMaxVocabU16 ? DType::u32 : DType::u16;
  file.dataset("data", stored, ids_, layout_);
  file.dataset("doc_offsets", offsets_);
  if (!bytes_.empty()) file.dataset("doc_bytes", DType::u32, bytes_, Hdf5Layout::contiguous);
  file.attribute("format", kShardFormat);
  file.attribute("n_tokens", tokens());
  file.attribute("n_docs", documents());
  file.attribute("vocab_size", vocabulary_.vocab_size);
  file.attribute("bos_id", vocabulary_.bos_id);
  file.attribute("eos_id", vocabulary_.eos_id);
  file.attribute("tokenizer_sha256", vocabulary_.tokenizer_sha256);
  file.attribute("created_by", "granule");
  file.publish();
  ids_.clear();
  offsets_.assign(1, 0);
  bytes_.clear();
}

}  // namespace granule
