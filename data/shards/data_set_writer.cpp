#include "data/shards/data_set_writer.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "data/files/digest.hpp"
#include "data/tokenizers/special_tokens.hpp"

namespace granule {
namespace {

constexpr std::int64_t kMaxShards = 100'000;  // five digits; with more, names would not sort

const DataSetOptions& checked(const DataSetOptions& options) {
  if (!(options.val_fraction >= 0 && options.val_fraction < 1)) {
    user_error(fmt::format("{} of the documents cannot be held back", options.val_fraction), "--val-fraction",
               "give a number from 0 to less than 1, such as 0.05");
  }
  if (options.shard_tokens <= 0) {
    user_error(fmt::format("shards of {} tokens", options.shard_tokens), "--shard-tokens",
               "give a positive number");
  }
  return options;
}

}  // namespace

ShardWriter::Vocabulary vocabulary_of(const Tokenizer& tokenizer, std::int64_t vocab_size) {
  if (vocab_size < 0 || vocab_size > std::numeric_limits<std::int32_t>::max() ||
      (vocab_size > 0 && vocab_size < tokenizer.vocab_size())) {
    user_error(fmt::format("a vocabulary of {}, the tokenizer has {}", vocab_size, tokenizer.vocab_size()),
               "--vocab-size", "give the model's, which is no smaller");
  }
  return {std::max(vocab_size, tokenizer.vocab_size()), tokenizer.bos_id().value_or(-1),
          tokenizer.eos_id().value_or(-1), tokenizer.sha256()};
}

bool is_validation_document(std::int64_t index, double val_fraction) {
  // Multiples of the golden ratio, modulo 1 and in 64 bits, fill [0, 1) more evenly than those of any other
  // number.
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;
  return static_cast<double>((static_cast<std::uint64_t>(index) + 1) * kGolden) < val_fraction * 0x1p64;
}

DataSetWriter::DataSetWriter(const DataSetOptions& options, const ShardWriter::Vocabulary& vocabulary)
    : options_(checked(options)),
      vocabulary_(vocabulary),
      directory_(options.out),
      train_{ShardWriter(vocabulary, options.layout)},
      val_{ShardWriter(vocabulary, options.layout)} {}

double DataSetWriter::validation_share(DocumentPlace place) const {
  const double fraction = options_.val_fraction;
  const bool no_train = train_.counts.documents == 0, no_val = val_.counts.documents == 0;
  if (place == DocumentPlace::last && fraction > 0) {
    if (no_train && no_val) return fraction;
    if (no_train) return 0;
    if (no_val) return 1;
  }
  return is_validation_document(index_, fraction) ? 1 : 0;
}

void DataSetWriter::add(Split split, std::span<const std::int32_t> ids,
                        std::optional<std::int64_t> utf8_bytes) {
  SplitState& state = state_of(split);
  state.writer.add_document(ids, utf8_bytes);
  count(split, std::ssize(ids), utf8_bytes);
  if (state.writer.tokens() >= options_.shard_tokens) write_shard(split);
}

void DataSetWriter::add(Split split, const DocumentStream& document) {
  SplitState& state = state_of(split);
  std::optional<std::int64_t> utf8_bytes;
  const DocumentStream counted{
      document.tokens, [&](const DocumentStream::Sink& sink) { return utf8_bytes = document.read(sink); }};
  if (state.writer.tokens() + document.tokens >= options_.shard_tokens) {
    write_shard(split, &counted);
  } else {
    state.writer.add_document(counted);
  }
  count(split, document.tokens, utf8_bytes);
}

void DataSetWriter::count(Split split, std::int64_t tokens, std::optional<std::int64_t> utf8_bytes) {
  SplitCounts& counts = state_of(split).counts;
  ++counts.documents;
  counts.tokens += tokens;
  counts.utf8_bytes += utf8_bytes.value_or(0);
}

void DataSetWriter::write_shard(Split split, const DocumentStream* last) {
  SplitState& state = state_of(split);
  const std::filesystem::path& directory = directory_.partial();
  if (state.counts.shards == kMaxShards)
    user_error("too many shards", directory.string(), "raise --shard-tokens");
  ManifestShard shard{fmt::format("{}-{:05}.h5", name_of(split), state.counts.shards++),
                      std::string(name_of(split)), state.writer.tokens(), state.writer.documents(), ""};
  if (last == nullptr) {
    state.writer.write(directory / shard.file);
  } else {
    state.writer.write(directory / shard.file, *last);
    shard.n_tokens += last->tokens;
    ++shard.n_docs;
  }
  shard.sha256 = sha256_of_file(directory / shard.file);
  state.shards.push_back(std::move(shard));
}

void DataSetWriter::copy_tokenizer(const Tokenizer& tokenizer) const {
  const std::string content = read_file(tokenizer.path());
  if (tokenizer_digest(tokenizer.path()) != tokenizer.sha256())
    user_error("the tokenizer changed while it was used", tokenizer.path().string(), "build again");
  const std::filesystem::path& directory = directory_.partial();
  write_file(directory / tokenizer.standard_name(), content);
  const std::string config = tokenizer.config_beside();
  if (!config.empty()) write_file(directory / kTokenizerConfigFile, config);
}

void DataSetWriter::finish(const Tokenizer* tokenizer) {
  for (const Split split : {Split::train, Split::val}) {
    if (state_of(split).writer.documents() > 0) write_shard(split);
  }
  if (tokenizer != nullptr) copy_tokenizer(*tokenizer);
  Manifest manifest{vocabulary_.vocab_size, vocabulary_.tokenizer_sha256, train_.shards};
  manifest.shards.insert(manifest.shards.end(), val_.shards.begin(), val_.shards.end());
  write_manifest(directory_.partial() / kManifestFile, manifest);
  directory_.publish();
}

}  // namespace granule
