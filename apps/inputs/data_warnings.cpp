#include "apps/inputs/data_warnings.hpp"

#include <string>
#include <vector>

#include "apps/program/console.hpp"
#include "data/shards/manifest.hpp"
#include "data/shards/unwritten_tail.hpp"

namespace granule {
namespace {

void warn_of_unlisted_shards(const TokenSource& source) {
  const std::vector<std::string> names = unlisted_shards(source.directory());
  if (names.empty()) return;
  say("granule: warning: {} shard{} of {} {} not in its manifest, and not read (the first is {}): build the "
      "data "
      "set again, or remove manifest.json to read all",
      names.size(), names.size() == 1 ? "" : "s", source.directory().string(),
      names.size() == 1 ? "is" : "are", names.front());
}

/// How many samples of source `index` a step takes on average.
double samples_a_step(const Mixture& mixture, std::int64_t index, std::int64_t batch_size) {
  constexpr std::int64_t kSteps = 1000;
  return static_cast<double>(mixture.count(index, kSteps * batch_size)) / static_cast<double>(kSteps);
}

void warn_of_repeats(const RunConfig& config, const TokenSource& source, double samples_a_step) {
  const std::int64_t samples = source.samples(config.data.seq_len);
  if (static_cast<double>(samples) >= samples_a_step) return;
  say("granule: warning: {} has {} sample{} of {} tokens, and a step takes {:.10g}: each is repeated {:.4g} "
      "times in one step; use more text, or a smaller data.seq_len or train.batch_size",
      source.directory().string(), samples, samples == 1 ? "" : "s", config.data.seq_len, samples_a_step,
      samples_a_step / static_cast<double>(samples));
}

}  // namespace

void warn_of_unwritten_tokens(const DataMix& data) {
  for (const TokenSource& source : data.sources()) {
    for (const ShardReader& shard : source.shards()) {
      const std::int64_t zeros = unwritten_tail(shard);
      if (zeros == 0) continue;
      say("granule: warning: the last {} of {} tokens of {} are 0, as if they had never been written: check "
          "the program that wrote the shard",
          zeros, shard.tokens(), shard.path().string());
    }
  }
}

void warn_of_data(const RunConfig& config, const DataMix& train) {
  const MixSampler sampler = train.sampler(config.data.seq_len, SampleOrder::sequential, 0);
  for (std::int64_t i = 0; i < sampler.mixture().sources(); ++i) {
    warn_of_unlisted_shards(train.source(i));
    warn_of_repeats(config, train.source(i), samples_a_step(sampler.mixture(), i, config.train.batch_size));
  }
  warn_of_unwritten_tokens(train);
}

}  // namespace granule
