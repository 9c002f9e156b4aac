// Which of several sources each position of a run reads: a pure function of the weights and the position.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace granule {

/// The sources are halved again and again, down to one each: a binary tree of depth d = ⌈log2 sources⌉. Of
/// the first m positions of a node, its left half has ⌊m · left / both + 1/2⌋ and its right half the rest,
/// where left and both are the weights in whole units of 2^-30 of their sum. Hence, without any memory:
///   - the counts of all sources among the first i positions sum to i, and one of them grows by one with i;
///   - each differs from share · i by at most d / 2: the rounding of a level is at most 1/2, and it reaches
///     the levels below in proportion. (Rounding weights to units shifts a share by up to
///     (1 + sources) · 2^-31.)
/// Sources of equal weight take turns.
class Mixture {
 public:
  /// A smaller share would be more than one part in a thousand off.
  static constexpr double kSmallestShare = 1e-6;

  /// One weight a source; only their ratios matter. Each must be at least kSmallestShare of their sum.
  explicit Mixture(std::span<const double> weights);
  [[nodiscard]] std::int64_t sources() const { return std::ssize(until_) - 1; }

  struct Place {
    std::int64_t source;
    std::int64_t index;  ///< positions of this source before
  };
  /// Of position `index` ≥ 0, in O(log sources).
  [[nodiscard]] Place place(std::int64_t index) const;
  /// How many of positions [0, end) read `source`.
  [[nodiscard]] std::int64_t count(std::int64_t source, std::int64_t end) const;

 private:
  [[nodiscard]] std::int64_t left_of(std::int64_t count, std::int64_t begin, std::int64_t middle,
                                     std::int64_t end) const;
  std::vector<std::int64_t> until_;  // units of all sources before each, and of all
};

}  // namespace granule
