// The data of a run: one split of every source, and how they are mixed. A single source is a mix of one.
#pragma once
#include <array>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/sampling/sampler.hpp"
#include "data/sampling/token_source.hpp"

namespace granule {

/// Several threads may read. Every function that finds the data wrong throws a user error.
class DataMix {
 public:
  struct Part {
    std::filesystem::path directory;
    /// Only the ratios of weights matter. See Mixture for how small a share may be.
    double weight = 1.0;
    friend bool operator==(const Part&, const Part&) = default;
  };
  /// Opens the split of every part. The parts' shards must agree on vocabulary and tokenizer.
  DataMix(std::span<const Part> parts, Split split, DigestCheck digests = DigestCheck::verify);
  /// One source.
  DataMix(const std::filesystem::path& directory, Split split)
      : DataMix(std::array{Part{directory}}, split) {}

  [[nodiscard]] std::span<const TokenSource> sources() const { return sources_; }
  [[nodiscard]] const TokenSource& source(std::int64_t index) const {
    return sources_[static_cast<std::size_t>(index)];
  }
  /// The summary of all sources together.
  [[nodiscard]] const TokenSourceSummary& summary() const { return summary_; }

  /// Calls the function of that name for every source.
  void require_vocabulary(std::int64_t vocab_size, const std::string& tokenizer_sha256,
                          VocabularyOf owner = VocabularyOf::config) const;
  void require_documents() const;
  /// The BOS of all sources, if it is the same.
  [[nodiscard]] std::optional<std::int32_t> bos_of_documents() const;

  /// The samples of all sources, each counted once.
  [[nodiscard]] std::int64_t samples(std::int64_t seq_len) const;
  [[nodiscard]] MixSampler sampler(std::int64_t seq_len, SampleOrder order, std::uint64_t seed) const;
  /// The largest n such that the first n positions of the run read no sample twice. For a single source it is
  /// the number of its samples.
  [[nodiscard]] std::int64_t samples_before_a_repeat(std::int64_t seq_len) const;

  /// UTF-8 bytes of the targets of the first `samples` positions, with each source in sequence. Absent if a
  /// shard does not say.
  [[nodiscard]] std::optional<double> target_bytes(std::int64_t samples, std::int64_t seq_len) const;

 private:
  std::vector<TokenSource> sources_;
  Mixture mixture_;
  TokenSourceSummary summary_;
};

}  // namespace granule
