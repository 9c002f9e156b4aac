#include "data/sampling/keyed_order.hpp"

#include <algorithm>
#include <bit>

#include "core/error.hpp"

namespace granule {
namespace {

constexpr std::uint64_t kRounds = 24;

std::uint64_t lowest(int bits) {
  return (std::uint64_t{1} << bits) - 1;
}

}  // namespace

KeyedOrder::KeyedOrder(std::int64_t n, std::uint64_t seed, std::int64_t source, std::int64_t epoch)
    : n_(static_cast<std::uint64_t>(n)), random_(seed, fmt::format("data/feistel-1/{}/{}", source, epoch)) {
  GRANULE_CHECK(n > 0, "an order of {} samples", n);
  const int bits = std::max(2, static_cast<int>(std::bit_width(n_ - 1)));
  low_bits_ = bits / 2;
  high_bits_ = bits - low_bits_;
}

std::uint64_t KeyedOrder::network(std::uint64_t place) const {
  std::uint64_t high = place >> low_bits_, low = place & lowest(low_bits_);
  for (std::uint64_t round = 0; round < kRounds; round += 2) {
    high ^= random_.bits(round << 32 | low)[0] & lowest(high_bits_);
    low ^= random_.bits((round + 1) << 32 | high)[0] & lowest(low_bits_);
  }
  return high << low_bits_ | low;
}

std::int64_t KeyedOrder::operator()(std::int64_t place) const {
  GRANULE_CHECK(place >= 0 && static_cast<std::uint64_t>(place) < n_, "place {} of {} samples", place, n_);
  std::uint64_t sample = static_cast<std::uint64_t>(place);
  do sample = network(sample);
  while (sample >= n_);
  return static_cast<std::int64_t>(sample);
}

}  // namespace granule
