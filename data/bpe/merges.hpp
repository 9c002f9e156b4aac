// Byte-pair merges: which two neighbours become one token, and in which order.
#pragma once
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace granule {

class Merges {
 public:
  /// Lower ranks are merged first. If a pair comes again, it takes the later rank.
  void add(std::int32_t left, std::int32_t right, std::int32_t rank, std::int32_t merged);

  /// The tokens of one word, whose bytes are the tokens `symbols`. The pair with the lowest rank is merged,
  /// and of equal ones the leftmost, until none is left. It takes O(n log n) for n symbols.
  void apply(std::span<const std::int32_t> symbols, std::vector<std::int32_t>& tokens) const;

  struct Pair {
    std::int32_t left = 0;
    std::int32_t right = 0;
  };
  /// All pairs by their rank.
  [[nodiscard]] std::vector<Pair> in_order() const;

 private:
  struct Merge {
    std::int32_t rank = 0;
    std::int32_t merged = 0;
  };
  std::unordered_map<std::uint64_t, Merge> merges_;  // by pair
};

}  // namespace granule
