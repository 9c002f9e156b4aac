// Repeatable random orders of the emulated machine.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace cuda_emulation {

class RandomOrder {
 public:
  void restart(std::uint64_t seed) { state_ = (seed * 0x9e3779b97f4a7c15ULL) | 1U; }
  /// Goes on if it began with this seed.
  void restart_if_new(std::uint64_t seed) {
    if (seed == seed_) return;
    seed_ = seed;
    restart(seed);
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[next() % i]);
  }

 private:
  std::uint64_t next() {  // xorshift
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return state_;
  }
  std::uint64_t state_ = 1, seed_ = 0;
};

}  // namespace cuda_emulation
