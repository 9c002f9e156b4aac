// The shuffled order of an epoch, computed place by place: nothing is built and nothing is kept, however many
// samples there are.
#pragma once
#include <cstdint>

#include "core/random.hpp"

namespace granule {

/// A bijection of [0, n), keyed by (seed, source, epoch), 0 < n: a Feistel network over the b bits of n − 1.
/// A place is cut into a high part of ⌈b / 2⌉ bits and a low part of ⌊b / 2⌋ (b is at least 2). In 24 rounds
/// each part in turn, the high one first, is xor-ed with random bits of the other:
///   part ^= bits(round · 2^32 + other), the lowest that fit, of the stream "data/feistel-1/source/epoch".
/// A result that is no sample goes through the network again, until it is one: less than once on average.
/// 24 rounds, because with half as many the permutations of five samples are visibly not equally likely.
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
