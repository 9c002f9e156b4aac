#include "data/shards/shard_builder.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "data/files/digest.hpp"
#include "data/files/output_directory.hpp"
#include "data/sampling/token_source.hpp"
#include "data/shards/manifest.hpp"
#include "data/shards/shard.hpp"

namespace granule {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxShards = 100'000;  // five digits: more would not sort by name

ShardWriter::Vocabulary vocabulary_of(const Tokenizer& tokenizer) {
  if (!tokenizer.eos_id()) {
    user_error("the tokenizer has no EOS", tokenizer.path().string(),
               "documents end with one: name it with --eos TOKEN, or use another tokenizer");
  }
  return {tokenizer.vocab_size(), tokenizer.bos_id().value_or(-1), *tokenizer.eos_id(), tokenizer.sha256()};
}

// The shards of one split, written as they fill.
class SplitWriter {
 public:
  SplitWriter(Split split, fs::path directory, const ShardWriter::Vocabulary& vocabulary,
              const ShardBuildOptions& options)
      : split_(split),
        directory_(std::move(directory)),
        shard_tokens_(options.shard_tokens),
        writer_(vocabulary, options.layout) {}

  void add(std::span<const std::int32_t> ids, std::int64_t utf8_bytes) {
    writer_.add_document(ids, utf8_bytes);
    ++counts_.documents;
    counts_.tokens += std::ssize(ids);
    counts_.utf8_bytes += utf8_bytes;
    if (writer_.tokens() >= shard_tokens_) write_shard();
  }
  void finish() {
    if (writer_.documents() > 0) write_shard();
  }
  [[nodiscard]] const SplitCounts& counts() const { return counts_; }
  [[nodiscard]] const std::vector<ManifestShard>& shards() const { return shards_; }

 private:
  void write_shard() {
    if (counts_.shards == kMaxShards)
      user_error("too many shards", directory_.string(), "raise --shard-tokens");
    ManifestShard shard{fmt::format("{}-{:05}.h5", name_of(split_), counts_.shards++),
                        std::string(name_of(split_)), writer_.tokens(), writer_.documents(), ""};
    writer_.write(directory_ / shard.file);
    shard.sha256 = sha256_of_file(directory_ / shard.file);
    shards_.push_back(std::move(shard));
  }

  Split split_;
  fs::path directory_;
  std::int64_t shard_tokens_;
  ShardWriter writer_;
  SplitCounts counts_;
  std::vector<ManifestShard> shards_;
};

class Builder {
 public:
  Builder(Tokenizer& tokenizer, const ShardBuildOptions& options, const fs::path& directory)
      : tokenizer_(tokenizer),
        options_(options),
        vocabulary_(vocabulary_of(tokenizer)),
        directory_(directory),
        train_(Split::train, directory, vocabulary_, options),
        val_(Split::val, directory, vocabulary_, options) {}

  void add(std::string_view text) {
    const bool held_back = is_validation_document(index_++, options_.val_fraction);
    write(held_back ? val_ : train_, text);
  }
  // Sees to it that neither split stays empty.
  void add_last(std::string_view text) {
    const bool no_train = train_.counts().documents == 0, no_val = val_.counts().documents == 0;
    const bool held_back = is_validation_document(index_, options_.val_fraction);
    if (options_.val_fraction == 0 || (no_train && !no_val)) return write(train_, text);
    if (!no_val || (held_back && !no_train)) return add(text);
    const auto size = static_cast<double>(text.size());
    const double wanted = options_.val_fraction * (size + static_cast<double>(train_.counts().utf8_bytes));
    const double tail = std::min(wanted, size * std::max(options_.val_fraction, 0.5));
    const std::size_t cut = tail_cut(text, static_cast<std::size_t>(tail));
    if (cut == 0) user_error("too little text to hold any back", "--val-fraction", "give more text");
    write(train_, text.substr(0, cut));
    write(val_, text.substr(cut));
  }
  void finish() {
    train_.finish();
    val_.finish();
    copy_tokenizer();
    Manifest manifest{vocabulary_.vocab_size, vocabulary_.tokenizer_sha256, train_.shards()};
    manifest.shards.insert(manifest.shards.end(), val_.shards().begin(), val_.shards().end());
    write_manifest(directory_ / kManifestFile, manifest);
  }
  [[nodiscard]] ShardBuildReport report() const { return {train_.counts(), val_.counts()}; }

 private:
  void write(SplitWriter& split, std::string_view text) {
    std::vector<std::int32_t> ids = tokenizer_.encode(text);
    ids.push_back(static_cast<std::int32_t>(vocabulary_.eos_id));
    split.add(ids, static_cast<std::int64_t>(text.size()));
  }
  void copy_tokenizer() const {
    const std::string content = read_file(tokenizer_.path());
    if (sha256_of(std::as_bytes(std::span(content))) != tokenizer_.sha256()) {
      user_error("the tokenizer changed while it was used", tokenizer_.path().string(), "build again");
    }
    write_file(directory_ / ("tokenizer" + tokenizer_.path().extension().string()), content);
    const std::string config = tokenizer_.config_beside();
    if (!config.empty()) write_file(directory_ / kTokenizerConfigFile, config);
  }

  Tokenizer& tokenizer_;
  const ShardBuildOptions& options_;
  ShardWriter::Vocabulary vocabulary_;
  fs::path directory_;
  SplitWriter train_, val_;
  std::int64_t index_ = 0;
};

void check(const ShardBuildOptions& options) {
  if (!(options.val_fraction >= 0 && options.val_fraction < 1)) {
    user_error(fmt::format("{} of the documents cannot be held back", options.val_fraction), "--val-fraction",
               "give a number from 0 to less than 1, such as 0.05");
  }
  if (options.shard_tokens <= 0) {
    user_error(fmt::format("shards of {} tokens", options.shard_tokens), "--shard-tokens",
               "give a positive number");
  }
}

}  // namespace

bool is_validation_document(std::int64_t index, double val_fraction) {
  return RandomStream(0, "data/validation").uniform(static_cast<std::uint64_t>(index)) < val_fraction;
}

std::size_t tail_cut(std::string_view text, std::size_t tail_bytes) {
  std::size_t cut = text.size() - std::clamp<std::size_t>(tail_bytes, 1, text.size());
  if (const std::size_t line = text.substr(0, cut).rfind('\n'); line != std::string_view::npos)
    return line + 1;
  if (const std::size_t space = text.substr(0, cut).rfind(' '); space != std::string_view::npos && space > 0)
    return space;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80) --cut;
  return cut;
}

ShardBuildReport build_shards(TextSource& text, Tokenizer& tokenizer, const ShardBuildOptions& options,
                              const std::function<void(const ShardBuildReport&)>& progress) {
  check(options);
  OutputDirectory directory(options.out);
  Builder builder(tokenizer, options, directory.partial());
  const auto first = text.next();
  if (!first) user_error("there is no text", text.describe(), "give files that hold text");
  // One document behind the source, because the last one may be cut.
  std::string pending(first->text);
  while (const auto document = text.next()) {
    builder.add(pending);
    if (progress) progress(builder.report());
    pending = document->text;
  }
  builder.add_last(pending);
  builder.finish();
  directory.publish();
  if (progress) progress(builder.report());
  return builder.report();
}

}  // namespace granule
