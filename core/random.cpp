#include "core/random.hpp"

#include <cmath>
#include <numbers>

#include <Random123/philox.h>
#include <xxhash.h>

namespace granule {
namespace {

double unit_interval(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, std::string_view name)
    : RandomStream(seed, XXH3_64bits(name.data(), name.size())) {}

std::array<std::uint64_t, 2> RandomStream::bits(std::uint64_t index) const {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
  r123::Philox4x32::ctr_type counter{};
  counter[0] = low(index), counter[1] = high(index), counter[2] = low(stream_), counter[3] = high(stream_);
  r123::Philox4x32::ukey_type key{};
  key[0] = low(seed_), key[1] = high(seed_);
  const auto out = r123::Philox4x32()(counter, key);
  return {out[0] | std::uint64_t{out[1]} << 32, out[2] | std::uint64_t{out[3]} << 32};
}

double RandomStream::uniform(std::uint64_t index) const {
  return unit_interval(bits(index)[0]);
}

double RandomStream::normal(std::uint64_t index) const {
  const auto [a, b] = bits(index);
  const double radius = std::sqrt(-2.0 * std::log1p(-unit_interval(a)));
  return radius * std::cos(2.0 * std::numbers::pi * unit_interval(b));
}

std::uint64_t RandomStream::below(std::uint64_t bound, std::uint64_t index) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{bits(index)[0]} * bound >> 64);
}

}  // namespace granule
