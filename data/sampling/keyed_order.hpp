// The shuffled order of an epoch, computed position by position. Nothing is built and nothing is kept, for
// any number of samples.
#pragma once
#include <cstdint>

#include "core/random.hpp"

namespace granule {

/// A bijection of [0, n) with 0 < n, keyed by (seed, source, epoch). It is a Feistel network over the b bits
/// of n − 1. A position is cut into a high part of ⌈b / 2⌉ bits and a low part of ⌊b / 2⌋ bits (b is at least
/// 2). There are 24 rounds. The high part is changed first, and then the parts in turn, each by an xor with
/// random bits of the other:
///   part ^= bits(round · 2^32 + other), the lowest that fit, of the stream "data/feistel-1/source/epoch".
/// A result that is no sample goes through the network again until it is one, which takes less than one more
/// pass on average. With half as many rounds, the permutations of five samples are visibly not equally
/// likely.
class KeyedOrder {
 public:
  KeyedOrder(std::int64_t n, std::uint64_t seed, std::int64_t source, std::int64_t epoch);
  [[nodiscard]] std::int64_t operator()(std::int64_t place) const;

 private:
  [[nodiscard]] std::uint64_t network(std::uint64_t place) const;

  std::uint64_t n_;
  int low_bits_, high_bits_;
  RandomStream random_;
};

}  // namespace granule
