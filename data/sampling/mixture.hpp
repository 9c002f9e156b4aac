// Which of several sources each position of a run reads. It is a pure function of the weights and the
// position.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace granule {

/// The sources are halved again and again until each part is one source. This is a binary tree of depth d =
/// ⌈log2 sources⌉. Of the first m positions of a node, its left half gets ⌊m · left / both + 1/2⌋ and its
/// right half the rest. `left` and `both` are the weights in whole units of 2^-30 of their sum. So, without
/// any memory:
///   - the counts of all sources among the first i positions sum to i, and one of them grows by one with i;
///   - each count differs from share · i by at most d / 2. The rounding of a level is at most 1/2, and it
///     reaches the levels below in proportion. (Rounding weights to units changes a share by up to
///     (1 + sources) · 2^-31.)
/// Sources of equal weight alternate.
class Mixture {
 public:
  /// A smaller share would be wrong by more than one part in a thousand.
  static constexpr double kSmallestShare = 1e-6;

  /// There is one weight for each source, and only their ratios matter. Each must be at least kSmallestShare
  /// of their sum.
  explicit Mixture(std::span<const double> weights);
  [[nodiscard]] std::int64_t sources() const { return std::ssize(until_) - 1; }

  struct SourcePosition {
    std::int64_t source;
    std::int64_t index;  ///< earlier positions of this source
  };
  /// What position `index` ≥ 0 reads, in O(log sources).
  [[nodiscard]] SourcePosition place(std::int64_t index) const;
  /// How many of positions [0, end) read `source`.
  [[nodiscard]] std::int64_t count(std::int64_t source, std::int64_t end) const;

 private:
  [[nodiscard]] std::int64_t left_of(std::int64_t count, std::int64_t begin, std::int64_t middle,
                                     std::int64_t end) const;
  std::vector<std::int64_t> until_;  // where the units of each source begin, and the sum of all units
};

}  // namespace granule
