// Which sample each position of the run reads: a pure function of weights, samples, order, seed and position.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/sampling/keyed_order.hpp"
#include "data/sampling/mixture.hpp"

namespace granule {

/// keyed: KeyedOrder, another order for every epoch. shuffled: the order of runs from before KeyedOrder
/// existed.
enum class SampleOrder : std::uint8_t { sequential, shuffled, keyed };
/// "sequential", "fisher-yates", "feistel-1".
[[nodiscard]] std::string_view name_of(SampleOrder order);
[[nodiscard]] std::optional<SampleOrder> sample_order_of(std::string_view name);

/// The permutation of [0, n) in one epoch of a source, with 0 < n < 2^32. It is Fisher–Yates with the Philox
/// stream of (seed, source, epoch).
[[nodiscard]] std::vector<std::uint32_t> epoch_permutation(std::int64_t n, std::uint64_t seed,
                                                           std::int64_t source, std::int64_t epoch);

/// The order of one source. In sequence, its i-th sample is i mod n; otherwise it is position i mod n of the
/// permutation of epoch ⌊i / n⌋. A Sampler keeps the current epoch's key. If the order is shuffled, it keeps
/// the permutation instead: 4 bytes for each sample, built when the epoch begins. Each thread needs its own.
class Sampler {
 public:
  Sampler(std::int64_t samples, SampleOrder order, std::uint64_t seed, std::int64_t source = 0);
  /// The sample with number `index`, from 0, of this source.
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

/// The order of a run. The mixture chooses the source of every position. Each source visits its own samples
/// and then begins again. A mix of one source behaves as that source. Each thread needs its own.
class MixSampler {
 public:
  /// `samples` has the number of samples of each source.
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
