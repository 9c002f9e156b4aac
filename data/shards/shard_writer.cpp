#include <limits>
#include <utility>
#include <vector>

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

void ShardWriter::require_ids(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    GRANULE_CHECK(id >= 0 && id < vocabulary_.vocab_size, "ShardWriter: id {} of a vocabulary of {}", id,
                  vocabulary_.vocab_size);
  }
}

void ShardWriter::count_bytes(std::optional<std::int64_t> utf8_bytes) {
  const std::int64_t bytes = utf8_bytes.value_or(0);
  GRANULE_CHECK(bytes >= 0, "ShardWriter: a document of {} bytes", bytes);
  GRANULE_CHECK(documents() == 0 || bytes_.empty() != utf8_bytes.has_value(),
                "ShardWriter: bytes of some documents and not of others, {} so far", documents());
  if (bytes > std::numeric_limits<std::uint32_t>::max()) {
    user_error(fmt::format("a document of {} bytes", bytes), "shards hold documents up to 4 GiB",
               "cut the text into shorter documents");
  }
  if (utf8_bytes) bytes_.push_back(static_cast<std::uint32_t>(bytes));
}

void ShardWriter::add_document(std::span<const std::int32_t> ids, std::optional<std::int64_t> utf8_bytes) {
  require_ids(ids);
  count_bytes(utf8_bytes);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  offsets_.push_back(ids_.size());
}

void ShardWriter::add_document(const DocumentStream& document) {
  count_bytes(document.read([&](std::span<const std::int32_t> ids) {
    require_ids(ids);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }));
  offsets_.push_back(ids_.size());
}

void ShardWriter::write_tokens(Hdf5Writer& file, const DocumentStream* last) {
  const DType stored = vocabulary_.vocab_size > kMaxVocabU16 ? DType::u32 : DType::u16;
  const std::int64_t size = tokens() + (last != nullptr ? last->tokens : 0);
  file.dataset("data", stored, size, layout_, [&](const Hdf5Writer::Append& append) {
    append(ids_);
    if (last == nullptr) return;
    std::vector<std::uint32_t> part;
    count_bytes(last->read([&](std::span<const std::int32_t> ids) {
      require_ids(ids);
      part.assign(ids.begin(), ids.end());
      append(part);
    }));
    offsets_.push_back(static_cast<std::uint64_t>(size));
  });
}

void ShardWriter::write(const std::filesystem::path& path, const DocumentStream* last) {
  Hdf5Writer file(path);
  const std::int64_t size = tokens() + (last != nullptr ? last->tokens : 0);
  write_tokens(file, last);
  file.dataset("doc_offsets", offsets_);
  if (!bytes_.empty()) file.dataset("doc_bytes", DType::u32, bytes_, Hdf5Layout::contiguous);
  file.attribute("format", kShardFormat);
  file.attribute("n_tokens", size);
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
