// Which sample each position of the run reads: a pure function of (samples, order, seed, position).
#pragma once
#include <cstdint>
#include <vector>

namespace granule {

enum class SampleOrder : std::uint8_t { sequential, shuffled };

/// The permutation of [0, n) of one epoch: Fisher–Yates driven by the Philox stream of (seed, epoch).
/// 0 < n < 2^32.
[[nodiscard]] std::vector<std::uint32_t> epoch_permutation(std::int64_t n, std::uint64_t seed,
                                                           std::int64_t epoch);

/// Global sample i is i mod n in sequence, or position i mod n of the permutation of epoch ⌊i / n⌋.
/// Keeps the current epoch's permutation (4 bytes a sample): one Sampler per thread.
class Sampler {
 public:
  Sampler(std::int64_t samples, SampleOrder order, std::uint64_t seed);
  /// The sample at global position `index` ≥ 0.
  [[nodiscard]] std::int64_t operator()(std::int64_t index);
  [[nodiscard]] std::int64_t samples_per_epoch() const { return samples_; }

 private:
  std::int64_t samples_;
  SampleOrder order_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::uint32_t> permutation_;
};

}  // namespace granule
