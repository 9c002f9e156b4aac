#include "data/sampling/mixture.hpp"

#include <bit>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "core/random.hpp"
#include "tests/support/catch.hpp"

namespace granule {
namespace {

using Weights = std::vector<double>;

const std::vector<Weights> kCases{
    {1.0},
    {1.0, 1.0},
    {3.0, 1.0},
    {0.7, 0.3},
    {0.6, 0.3, 0.1},
    {3e-6, 1.0, 1.0},
    {1.0, 1.0, 1.0, 1.0, 1.0},
    {5e5, 2.0, 3e5, 2e5, 17.0},
    {0.9, 0.01, 0.01, 0.01, 0.01, 0.01, 0.05},
    Weights(64, 0.25),
};

std::vector<std::int64_t> sources_of(const Mixture& mixture, std::int64_t positions) {
  std::vector<std::int64_t> sources;
  for (std::int64_t i = 0; i < positions; ++i) sources.push_back(mixture.place(i).source);
  return sources;
}

TEST_CASE("mixture: every position reads one source, and places and counts say the same") {
  for (const Weights& weights : kCases) {
    const Mixture mixture(weights);
    std::vector<std::int64_t> seen(weights.size(), 0);
    for (std::int64_t i = 0; i < 5000; ++i) {
      std::int64_t sum = 0;
      for (std::size_t s = 0; s < seen.size(); ++s) {
        const std::int64_t count = mixture.count(static_cast<std::int64_t>(s), i);
        REQUIRE(count == seen[s]);
        sum += count;
      }
      REQUIRE(sum == i);
      const auto [source, index] = mixture.place(i);
      REQUIRE(index == seen[static_cast<std::size_t>(source)]++);
    }
  }
}

TEST_CASE("mixture: the count of every source stays within half the depth of the tree of its share") {
  // Far positions are tested too, because there the rounding of weights to units has an effect.
  const RandomStream random(1, "positions");
  for (const Weights& weights : kCases) {
    const Mixture mixture(weights);
    const double bound = 0.5 * static_cast<double>(std::bit_width(weights.size() - 1)),
                 total = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::uint64_t k = 0; k < 20000; ++k) {
      const auto i = static_cast<std::int64_t>(k < 15000 ? k : random.below(std::uint64_t{1} << 32, k));
      for (std::size_t s = 0; s < weights.size(); ++s) {
        const double share = weights[s] / total * static_cast<double>(i);
        const double rounding =
            static_cast<double>(i) * std::ldexp(1.0 + static_cast<double>(weights.size()), -31);
        const auto count = static_cast<double>(mixture.count(static_cast<std::int64_t>(s), i));
        REQUIRE(std::abs(count - share) <= bound + rounding + 1e-9);
      }
    }
  }
}

TEST_CASE("mixture: far out in a run, places and counts still agree") {
  const RandomStream random(2, "positions");
  for (const Weights& weights : kCases) {
    const Mixture mixture(weights);
    for (std::uint64_t k = 0; k < 1000; ++k) {
      const auto i = static_cast<std::int64_t>(random.below(std::uint64_t{1} << 62, k));
      const auto [source, index] = mixture.place(i);
      std::int64_t sum = 0;
      for (std::int64_t s = 0; s < mixture.sources(); ++s) {
        sum += mixture.count(s, i);
        REQUIRE(mixture.count(s, i + 1) - mixture.count(s, i) == (s == source ? 1 : 0));
      }
      REQUIRE(sum == i);
      REQUIRE(index == mixture.count(source, i));
    }
  }
}

TEST_CASE(
    "mixture: the order of a mix is fixed for good: resumed runs of later versions must read the same") {
  using Order = std::vector<std::int64_t>;
  // By hand, for 3 : 1. The left source gets this many of the first m positions:
  //   ⌊3m/4 + 1/2⌋ = 0, 1, 2, 2, 3, 4, 5, 5, 6
  CHECK(sources_of(Mixture(Weights{3, 1}), 8) == Order{0, 0, 1, 0, 0, 0, 1, 0});
  // By hand, for 1 : 1 : 1. The left half is source 0, and the right half alternates:
  //   ⌊m/3 + 1/2⌋ = 0, 0, 1, 1, 1, 2, 2
  CHECK(sources_of(Mixture(Weights{1, 1, 1}), 6) == Order{1, 0, 2, 1, 0, 2});
}

TEST_CASE("mixture: only the ratios of weights matter, and sources of equal weight take turns") {
  CHECK(sources_of(Mixture(Weights{0.6, 0.3, 0.1}), 1000) == sources_of(Mixture(Weights{60, 30, 10}), 1000));
  const Mixture equal(Weights(5, 2.5));
  for (std::int64_t round = 0; round < 200; ++round) {
    std::vector<int> seen(5, 0);
    for (std::int64_t i = 0; i < 5; ++i) ++seen[static_cast<std::size_t>(equal.place(5 * round + i).source)];
    CHECK(seen == std::vector<int>(5, 1));
  }
}

TEST_CASE("mixture: mixtures of nothing, of absurd weights and at negative positions are refused") {
  CHECK_THROWS_AS(Mixture(Weights{}), Error);
  CHECK_THROWS_AS(Mixture(Weights{1.0, 0.0}), Error);
  CHECK_THROWS_AS(Mixture(Weights{1.0, -1.0}), Error);
  CHECK_THROWS_AS(Mixture(Weights{1.0, INFINITY}), Error);
  CHECK_THROWS_AS(Mixture(Weights{1.0, NAN}), Error);
  CHECK_THROWS_AS(Mixture(Weights{1.0, 1e-7}), Error);
  const Mixture mixture(Weights{1.0, 1.0});
  CHECK_THROWS_AS(mixture.place(-1), Error);
  CHECK_THROWS_AS(mixture.count(2, 1), Error);
}

}  // namespace
}  // namespace granule
