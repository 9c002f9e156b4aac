// Which sample each position of the run reads: a pure function of (weights, samples, order, seed, position).
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/sampling/keyed_order.hpp"
#include "data/sampling/mixture.hpp"

namespace granule {

/// keyed: KeyedOrder, an order of its own for every epoch. shuffled: what runs did before there was one.
enum class SampleOrder : std::uint8_t { sequential, shuffled, keyed };
/// "sequential", "fisher-yates", "feistel-1".
[[nodiscard]] std::string_view name_of(SampleOrder order);
[[nodiscard]] std::optional<SampleOrder> sample_order_of(std::string_view name);

/// The permutation of [0, n) of one epoch of a source: Fisher–Yates driven by the Philox stream of (seed,
/// source, epoch). 0 < n < 2^32.
[[nodiscard]] std::vector<std::uint32_t> epoch_permutation(std::int64_t n, std::uint64_t seed,
                                                           std::int64_t source, std::int64_t epoch);

/// The order of one source: its i-th sample is i mod n in sequence, or position i mod n of the permutation of
/// epoch ⌊i / n⌋. Keeps the current epoch's key, or, shuffled, its permutation (4 bytes a sample, built when
/// the epoch begins): one Sampler per thread.
class Sampler {
 public:
  Sampler(std::int64_t samples, SampleOrder order, std::uint64_t seed, std::int64_t source = 0);
  /// The sample that this source gives as its `index`-th, from 0.
  [[nodiscard]] std::int64_t operator()(std::int64_t index);
  [[nodiscard]] std::int64_t samples_per_epoch() const { return samples_; }

 private:
  std::int64_t samples_;
  SampleOrder order_;
  std::uint64_t seed_;
  std::int64_t source_;
  std::int64_t epoch_ = -1;
  std::optional<KeyedOrder> keyed_;
  std::vector<std::uint32_t> permutation_;
};

/// A sample of one of several sources.
struct SampleId {
  std::int64_t source = 0;
  std::int64_t sample = 0;
  friend bool operator==(const SampleId&, const SampleId&) = default;
};

/// The order of a run: the mixture chooses the source of every position; each source goes through its own
/// samples and begins again when it is through. A mix of one source is that source. One per thread.
class MixSampler {
 public:
  /// samples: of each source.
  MixSampler(Mixture mixture, std::span<const std::int64_t> samples, SampleOrder order, std::uint64_t seed);
  /// The sample at global position `index` ≥ 0.
  [[nodiscard]] SampleId operator()(std::int64_t index);
  [[nodiscard]] const Mixture& mixture() const { return mixture_; }
  [[nodiscard]] std::span<const Sampler> sources() const { return sources_; }

 private:
  Mixture mixture_;
  std::vector<Sampler> sources_;
};

}  // namespace granule
