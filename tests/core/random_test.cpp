#include "core/random.hpp"

#include <cmath>
#include <set>

#include "tests/support/catch.hpp"

using granule::RandomStream;

TEST_CASE("random: bits are Philox 4x32-10: the known answers of its authors") {
  using Bits = std::array<std::uint64_t, 2>;
  // The kat_vectors of Random123. Counter and key are given as (index, stream) and seed, with low words
  // first.
  CHECK(RandomStream(0, std::uint64_t{0}).bits(0) == Bits{0xe169c58d'6627e8d5, 0x9b00dbd8'bc57ac4c});
  CHECK(RandomStream(~0ULL, ~0ULL).bits(~0ULL) == Bits{0x41c83b0e'408f276d, 0x6d5451fd'a20bc7c6});
  CHECK(RandomStream(0x299f31d0'a4093822, 0x03707344'13198a2eULL).bits(0x85a308d3'243f6a88) ==
        Bits{0x94fdcceb'd16cfe09, 0x24126ea1'5001e420});
}

TEST_CASE("random: a number depends on seed, stream and index alone, never on what was asked before") {
  const RandomStream stream(7, "layers.0.weight");
  const double tenth = stream.normal(10);
  for (std::uint64_t i = 0; i < 50; ++i) static_cast<void>(stream.normal(i));
  CHECK(stream.normal(10) == tenth);
  CHECK(RandomStream(7, "layers.0.weight").normal(10) == tenth);
  CHECK(RandomStream(8, "layers.0.weight").normal(10) != tenth);
  CHECK(RandomStream(7, "layers.1.weight").normal(10) != tenth);
}

TEST_CASE("random: normal numbers have the moments of a normal distribution") {
  const RandomStream stream(3, "moments");
  constexpr std::uint64_t n = 200000;
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, product = 0, within = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    const double x = stream.normal(i);
    m1 += x, m2 += x * x, m3 += x * x * x, m4 += x * x * x * x;
    product += x * stream.normal(i + 1);
    within += std::abs(x) < 1.0 ? 1.0 : 0.0;
  }
  // Five standard errors of each mean, which is sqrt(variance / n).
  const double error = 5.0 / std::sqrt(double(n));
  CHECK(std::abs(m1 / n) < error);
  CHECK(std::abs(m2 / n - 1.0) < std::sqrt(2.0) * error);
  CHECK(std::abs(m3 / n) < std::sqrt(15.0) * error);
  CHECK(std::abs(m4 / n - 3.0) < std::sqrt(96.0) * error);
  CHECK(std::abs(product / n) < error);
  CHECK(std::abs(within / n - 0.6826894921) < 0.4655 * error);
}

TEST_CASE("random: uniform numbers fill the unit interval evenly") {
  const RandomStream stream(3, "uniform");
  std::array<int, 10> bins{};
  for (std::uint64_t i = 0; i < 100000; ++i) {
    const double x = stream.uniform(i);
    REQUIRE((x >= 0.0 && x < 1.0));
    ++bins.at(static_cast<std::size_t>(x * 10));
  }
  for (const int bin : bins) CHECK(std::abs(bin - 10000) < 5 * 95);  // five standard deviations
}

TEST_CASE("random: below stays below its bound and reaches everything under it") {
  const RandomStream stream(3, "below");
  std::array<int, 7> bins{};
  for (std::uint64_t i = 0; i < 70000; ++i) ++bins.at(stream.below(7, i));
  for (const int bin : bins) CHECK(std::abs(bin - 10000) < 5 * 93);
  CHECK(stream.below(1, 5) == 0);
  CHECK(stream.below(1ULL << 63, 5) < 1ULL << 63);
}
