#include "data/sampling/token_source.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "core/error.hpp"
#include "core/movement.hpp"
#include "data/files/digest.hpp"
#include "data/sampling/token_lengths.hpp"
#include "data/shards/manifest.hpp"
#include "data/tokenizers/tokenizer.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

void require_directory(const fs::path& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (!fs::exists(status))
    user_error("no such directory", directory.string(),
               "give the place of the data: data.path or data.mix, or --data where the command has it");
  if (!fs::is_directory(status))
    user_error("not a directory", directory.string(), "data.path is a directory of shards");
}

void check_digest(const fs::path& path, const ManifestShard& listed) {
  require_regular_file(path);
  if (sha256_of_file(path) == listed.sha256) return;
  user_error("the file differs from what the manifest says (SHA-256)", path.string(),
             "it was damaged or changed; build the data set again");
}

void require_counts(const ShardReader& shard, const ManifestShard& listed) {
  const std::string where = shard.path().string(), advice = "build the data set again";
  if (shard.tokens() != listed.n_tokens) {
    user_error(fmt::format("{} tokens, the manifest says {}", shard.tokens(), listed.n_tokens), where,
               advice);
  }
  const std::int64_t documents = std::ssize(shard.document_offsets()) - 1;
  if (documents >= 0 && documents != listed.n_docs) {
    user_error(fmt::format("{} documents, the manifest says {}", documents, listed.n_docs), where, advice);
  }
}

std::vector<ShardReader> open_listed(const fs::path& directory, const Manifest& manifest, Split split,
                                     DigestCheck digests) {
  std::vector<ShardReader> shards;
  for (const ManifestShard& listed : manifest.shards) {
    if (listed.split != name_of(split)) continue;
    const fs::path path = directory / listed.file;
    if (digests == DigestCheck::verify) check_digest(path, listed);
    const ShardReader& shard = shards.emplace_back(path);
    require_counts(shard, listed);
  }
  return shards;
}

std::vector<ShardReader> open_by_name(const fs::path& directory, Split split) {
  std::vector<fs::path> paths;
  const std::string prefix = fmt::format("{}-", name_of(split));
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.starts_with(prefix) && name.ends_with(".h5")) paths.push_back(entry->path());
  }
  if (error)
    user_error(fmt::format("cannot list the directory: {}", error.message()), directory.string(),
               "check its permissions");
  std::ranges::sort(paths);
  std::vector<ShardReader> shards;
  for (const fs::path& path : paths) shards.emplace_back(path);
  return shards;
}

std::string digest_of_tokens(const ShardReader& shard) {
  constexpr std::int64_t kBlock = std::int64_t{1} << 18;
  Xxh3 digest;
  std::vector<std::int32_t> ids;
  for (std::int64_t begin = 0; begin < shard.tokens(); begin += kBlock) {
    ids.resize(static_cast<std::size_t>(std::min(kBlock, shard.tokens() - begin)));
    shard.read(begin, ids);
    digest.add(std::as_bytes(std::span(ids)));
  }
  return digest.finish();
}

// Keeps a value if everything that has one agrees on it.
template <class T>
void agree(std::optional<T>& common, const std::optional<T>& value, const char* name, const fs::path& where) {
  if (!value) return;
  if (common && *common != *value) {
    user_error(fmt::format("{} is {}, the rest of the data says {}", name, *value, *common), where.string(),
               "build all of the data with one tokenizer");
  }
  common = value;
}

void add_known(std::optional<std::int64_t>& sum, const std::optional<std::int64_t>& more) {
  sum = sum && more ? std::optional(*sum + *more) : std::nullopt;
}

TokenSourceSummary summary_of(const ShardReader& shard) {
  const ShardAttributes& said = shard.attributes();
  TokenSourceSummary summary{.tokens = shard.tokens(),
                             .vocab_size = said.vocab_size,
                             .bos_id = said.bos_id,
                             .eos_id = said.eos_id,
                             .tokenizer_sha256 = said.tokenizer_sha256};
  const auto offsets = shard.document_offsets(), bytes = shard.document_bytes();
  if (!offsets.empty()) summary.documents = std::ssize(offsets) - 1;
  if (!bytes.empty() || shard.tokens() == 0)
    summary.utf8_bytes = std::accumulate(bytes.begin(), bytes.end(), std::int64_t{0});
  return summary;
}

}  // namespace

struct TokenSource::Lengths {
  std::once_flag looked;
  std::optional<TokenLengths> found;
};

void TokenSourceSummary::add(const TokenSourceSummary& more, const fs::path& where) {
  tokens += more.tokens;
  add_known(documents, more.documents);
  add_known(utf8_bytes, more.utf8_bytes);
  agree(vocab_size, more.vocab_size, "vocab_size", where);
  agree(bos_id, more.bos_id, "bos_id", where);
  agree(eos_id, more.eos_id, "eos_id", where);
  agree(tokenizer_sha256, more.tokenizer_sha256, "tokenizer_sha256", where);
}

TokenSource::TokenSource(const fs::path& directory, Split split, DigestCheck digests)
    : directory_(directory), split_(split), lengths_(std::make_shared<Lengths>()) {
  require_directory(directory);
  std::error_code error;
  const bool listed = fs::exists(directory / kManifestFile, error);
  if (listed) {
    const Manifest manifest = read_manifest(directory / kManifestFile);
    if (manifest.vocab_size > 0) summary_.vocab_size = manifest.vocab_size;
    if (!manifest.tokenizer_sha256.empty()) summary_.tokenizer_sha256 = manifest.tokenizer_sha256;
    shards_ = open_listed(directory, manifest, split, digests);
    for (const ManifestShard& shard : manifest.shards)
      if (shard.split == name_of(split)) sha256_.push_back(shard.sha256);
  } else {
    shards_ = open_by_name(directory, split);
  }
  if (shards_.empty()) {
    user_error(fmt::format("no shards of the {} split", name_of(split)), directory.string(),
               listed ? "the manifest lists none; see granule data build --val-fraction"
                      : fmt::format("a data set holds {}-*.h5; see granule data build", name_of(split)));
  }
  summarise();
}

void TokenSource::summarise() {
  summary_.documents = summary_.utf8_bytes = begins_.emplace_back(0);
  for (const ShardReader& shard : shards_) {
    begins_.push_back(begins_.back() + shard.tokens());
    summary_.add(summary_of(shard), shard.path());
  }
}

std::string TokenSource::digest() const {
  std::string all;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    all += sha256_.empty() ? sha256_of_file(shards_[i].path()) : sha256_[i];
    if (shards_[i].place() == Hdf5Place::other_files) all += digest_of_tokens(shards_[i]);
  }
  return sha256_of(std::as_bytes(std::span(all)));
}

void TokenSource::require_vocabulary(std::int64_t vocab_size, const std::string& tokenizer_sha256,
                                     VocabularyOf owner) const {
  const std::string where = directory_.string();
  const std::string build =
      fmt::format("build the data with the model's tokenizer and --vocab-size {}", vocab_size);
  if (summary_.vocab_size && *summary_.vocab_size != vocab_size) {
    user_error(
        fmt::format("the shards have a vocabulary of {}, the model of {}", *summary_.vocab_size, vocab_size),
        where, owner == VocabularyOf::model ? build : "set model.vocab_size to the data's, or " + build);
  }
  const auto& sha256 = summary_.tokenizer_sha256;
  if (!tokenizer_sha256.empty() && sha256 && !sha256->empty() && *sha256 != tokenizer_sha256) {
    user_error(fmt::format("the shards were built with tokenizer {}, the run has {}", sha256->substr(0, 12),
                           tokenizer_sha256.substr(0, 12)),
               where, "build the data with the run's tokenizer");
  }
  for (const ShardReader& shard : shards_) shard.check_ids(vocab_size);
}

std::int64_t TokenSource::samples(std::int64_t seq_len) const {
  GRANULE_CHECK(seq_len > 0, "samples of {} tokens", seq_len);
  if (summary_.tokens < seq_len + 1) {
    user_error(fmt::format("the {} split has {} tokens, one sample of data.seq_len = {} needs {}",
                           name_of(split_), summary_.tokens, seq_len, seq_len + 1),
               directory_.string(), "use more text or a smaller data.seq_len");
  }
  return (summary_.tokens - 1) / seq_len;
}

void TokenSource::read_sample(std::int64_t sample, std::int64_t seq_len, std::span<std::int32_t> out) const {
  GRANULE_CHECK(std::ssize(out) == seq_len + 1, "read_sample: {} places for {} tokens", out.size(),
                seq_len + 1);
  read(sample * seq_len, out);
}

void TokenSource::require_documents() const {
  for (const ShardReader& shard : shards_) {
    if (!shard.document_offsets().empty() || shard.tokens() == 0) continue;
    user_error("the shard does not say where its documents begin (no /doc_offsets)", shard.path().string(),
               "build or import the data set again, or set data.document_mask = false");
  }
}

std::optional<std::int32_t> TokenSource::bos_of_documents() const {
  constexpr std::size_t kLookedAt = 8;  // documents of a shard
  if (!summary_.bos_id || *summary_.bos_id < 0) return std::nullopt;
  for (const ShardReader& shard : shards_) {
    const auto offsets = shard.document_offsets();
    if (offsets.empty()) return std::nullopt;
    for (std::size_t d = 0; d + 1 < std::min(offsets.size(), kLookedAt + 1); ++d) {
      std::int32_t first = -1;
      if (offsets[d] < offsets[d + 1]) shard.read(offsets[d], std::span(&first, 1));
      if (first != *summary_.bos_id) return std::nullopt;
    }
  }
  return static_cast<std::int32_t>(*summary_.bos_id);
}

std::vector<DocumentPart> TokenSource::documents_in(std::int64_t begin, std::int64_t end) const {
  GRANULE_CHECK(begin >= 0 && begin < end && end <= summary_.tokens, "tokens [{}, {}) of {}", begin, end,
                summary_.tokens);
  std::vector<DocumentPart> parts;
  for (std::size_t shard = shard_of(begin); shard < shards_.size() && begins_[shard] < end; ++shard) {
    const auto offsets = shards_[shard].document_offsets();
    const std::int64_t stop = std::min(end - begins_[shard], shards_[shard].tokens());
    std::int64_t at = std::max<std::int64_t>(begin - begins_[shard], 0);
    if (offsets.empty() && at < stop) parts.push_back({shard, at, stop, std::nullopt});
    for (auto next = std::ranges::upper_bound(offsets, at); next != offsets.end() && at < stop; ++next) {
      if (*next == at) continue;  // a document without a token
      const std::int64_t last = std::min(*next, stop);
      parts.push_back({shard, at, last, next - offsets.begin() - 1, *(next - 1), *next});
      at = last;
    }
  }
  return parts;
}

void TokenSource::read_first_keys(std::int64_t sample, std::int64_t seq_len,
                                  std::span<std::int32_t> out) const {
  GRANULE_CHECK(std::ssize(out) == seq_len, "read_first_keys: {} places for {} tokens", out.size(), seq_len);
  const std::int64_t begin = sample * seq_len;
  for (const DocumentPart& part : documents_in(begin, begin + seq_len)) {
    GRANULE_CHECK(part.document.has_value(), "{}: no documents", shards_[part.shard].path().string());
    const std::int64_t row = begins_[part.shard] - begin;  // where the shard's tokens begin in the sample
    const std::int64_t first = std::max<std::int64_t>(0, row + part.first);
    std::fill(out.begin() + (row + part.begin), out.begin() + (row + part.end),
              static_cast<std::int32_t>(first));
  }
}

std::size_t TokenSource::shard_of(std::int64_t token) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(begins_, token) - begins_.begin()) - 1;
}

void TokenSource::read(std::int64_t begin, std::span<std::int32_t> out) const {
  GRANULE_CHECK(begin >= 0 && begin + std::ssize(out) <= summary_.tokens, "tokens [{}, {}) of {}", begin,
                begin + std::ssize(out), summary_.tokens);
  constexpr std::int64_t kPiece = 1 << 16;  // read soon, even on a slow disk
  while (!out.empty()) {
    const std::size_t shard = shard_of(begin);
    const std::int64_t count = std::min({std::ssize(out), begins_[shard + 1] - begin, kPiece});
    shards_[shard].read(begin - begins_[shard], out.first(static_cast<std::size_t>(count)));
    note_movement();
    out = out.subspan(static_cast<std::size_t>(count));
    begin += count;
  }
}

/// The bytes of text in tokens [begin, end) of a document that begins at token `document`.
std::int64_t TokenSource::bytes_between(std::int64_t begin, std::int64_t end, std::int64_t document) const {
  std::int64_t sum = 0;
  std::vector<std::int32_t> ids;
  for (std::int64_t at = begin; at < end; at += std::ssize(ids)) {
    ids.resize(static_cast<std::size_t>(std::min<std::int64_t>(end - at, 1 << 16)));
    read(at, ids);
    sum += at == document ? lengths_->found->bytes(ids) : lengths_->found->bytes_inside(ids);
  }
  return sum;
}

double TokenSource::bytes_of_part(std::size_t shard, std::size_t document, std::int64_t begin,
                                  std::int64_t end) const {
  std::call_once(lengths_->looked,
                 [this] { lengths_->found = TokenLengths::find(directory_, summary_.tokenizer_sha256); });
  const auto offsets = shards_[shard].document_offsets();
  const std::int64_t first = begins_[shard] + offsets[document],
                     last = begins_[shard] + offsets[document + 1];
  const std::int64_t from = std::max(begin, first), to = std::min(end, last);
  const auto share = [&](std::int64_t part, std::int64_t all) {
    return static_cast<double>(shards_[shard].document_bytes()[document]) *
           (static_cast<double>(part) / static_cast<double>(all));
  };
  if (lengths_->found) {
    const std::int64_t part = bytes_between(from, to, first);
    const std::int64_t all = part + bytes_between(first, from, first) + bytes_between(to, last, first);
    if (all > 0) return share(part, all);
  }
  return share(to - from, last - first);
}

std::optional<double> TokenSource::utf8_bytes_in(std::int64_t begin, std::int64_t end) const {
  if (!summary_.utf8_bytes) return std::nullopt;
  double bytes = 0;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const auto offsets = shards_[s].document_offsets();
    const auto lengths = shards_[s].document_bytes();
    for (std::size_t d = 0; d < lengths.size(); ++d) {
      const std::int64_t first = begins_[s] + offsets[d], last = begins_[s] + offsets[d + 1];
      if (first >= end || last <= begin) continue;
      bytes +=
          begin <= first && last <= end ? static_cast<double>(lengths[d]) : bytes_of_part(s, d, begin, end);
    }
  }
  return bytes;
}

std::optional<fs::path> find_tokenizer(const fs::path& directory) {
  for (const std::string_view name : {kSentencePieceFile, kTokenizerJsonFile}) {
    std::error_code error;
    if (fs::exists(directory / name, error)) return directory / name;
  }
  return std::nullopt;
}

}  // namespace granule
