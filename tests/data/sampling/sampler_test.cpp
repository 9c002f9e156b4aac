#include "data/sampling/sampler.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <numeric>

#include "core/error.hpp"
#include "core/random.hpp"
#include "tests/support/catch.hpp"

namespace granule {
namespace {

TEST_CASE("sampler: in sequence, sample i of a run is i mod n") {
  Sampler sampler(5, SampleOrder::sequential, 7);
  for (std::int64_t i = 0; i < 23; ++i) CHECK(sampler(i) == i % 5);
}

TEST_CASE("sampler: shuffled, every epoch visits each sample once, in an order of its own") {
  Sampler sampler(97, SampleOrder::shuffled, 7);
  std::vector<std::vector<std::int64_t>> epochs(3);
  for (std::int64_t i = 0; i < 3 * 97; ++i) epochs[static_cast<std::size_t>(i / 97)].push_back(sampler(i));
  CHECK(epochs[0] != epochs[1]);
  CHECK(epochs[1] != epochs[2]);
  for (auto& epoch : epochs) {
    std::ranges::sort(epoch);
    for (std::int64_t i = 0; i < 97; ++i) CHECK(epoch[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("sampler: shuffled, a position reads the same sample whatever was asked before") {
  Sampler forward(31, SampleOrder::shuffled, 3), backward(31, SampleOrder::shuffled, 3);
  std::vector<std::int64_t> a, b;
  for (std::int64_t i = 0; i < 100; ++i) a.push_back(forward(i));
  for (std::int64_t i = 100; i-- > 0;) b.push_back(backward(i));
  std::ranges::reverse(b);
  CHECK(a == b);
}

TEST_CASE(
    "sampler: the order of an epoch is fixed for good: resumed runs of later versions must read the same") {
  CHECK(epoch_permutation(10, 1234, 0, 0) == std::vector<std::uint32_t>{4, 9, 8, 5, 7, 2, 3, 6, 0, 1});
  CHECK(epoch_permutation(10, 1234, 0, 1) == std::vector<std::uint32_t>{2, 1, 6, 8, 5, 3, 9, 7, 0, 4});
  CHECK(epoch_permutation(1, 1234, 0, 0) == std::vector<std::uint32_t>{0});
}

TEST_CASE("sampler: every sample is as likely as another in every place") {
  // 4000 permutations of 5: each (sample, place) occurs 800 times on average, with standard deviation 25.3.
  std::array<std::array<int, 5>, 5> seen{};
  for (std::int64_t epoch = 0; epoch < 4000; ++epoch) {
    const auto order = epoch_permutation(5, 99, 0, epoch);
    for (std::size_t place = 0; place < 5; ++place) ++seen[order[place]][place];
  }
  for (const auto& row : seen) {
    for (const int count : row) CHECK(std::abs(count - 800) < 130);  // five standard deviations
  }
}

/// The keyed order, computed in another way. A table says where each of 2^b places goes. It is made round by
/// round with divisions. Places that are not samples are followed until they reach one.
std::vector<std::int64_t> order_by_tables(std::int64_t n, std::uint64_t seed, int source, int epoch) {
  const RandomStream random(seed, fmt::format("data/feistel-1/{}/{}", source, epoch));
  std::int64_t size = 4, low = 2;
  for (int bits = 3; size < n; ++bits) {
    size *= 2;
    if (bits % 2 == 0) low *= 2;
  }
  std::vector<std::int64_t> place(static_cast<std::size_t>(size));
  std::iota(place.begin(), place.end(), 0);
  for (std::uint64_t round = 0; round < 24; ++round) {
    for (std::int64_t& at : place) {
      const std::int64_t upper = at / low, lower = at % low;
      const bool first = round % 2 == 0;
      const auto drawn =
          static_cast<std::int64_t>(random.bits((std::uint64_t{1} << 32) * round +
                                                static_cast<std::uint64_t>(first ? lower : upper))[0] %
                                    static_cast<std::uint64_t>(first ? size / low : low));
      at = first ? (upper ^ drawn) * low + lower : upper * low + (lower ^ drawn);
    }
  }
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t at = place[static_cast<std::size_t>(i)];
    while (at >= n) at = place[static_cast<std::size_t>(at)];
    order.push_back(at);
  }
  return order;
}

std::vector<std::int64_t> keyed_order(std::int64_t n, std::uint64_t seed, int source, int epoch) {
  const KeyedOrder order(n, seed, source, epoch);
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < n; ++i) all.push_back(order(i));
  return all;
}

TEST_CASE("sampler: a keyed epoch visits each sample once, in an order of its own, as tables compute it") {
  for (const std::int64_t n : {1,  2,  3,  4,   5,   7,   8,   9,   13,  15,   16,   17,   31,   63,
                               64, 65, 97, 127, 128, 129, 255, 256, 257, 1000, 1021, 4095, 4096, 4097}) {
    INFO(n);
    auto first = keyed_order(n, 5, 0, 0);
    CHECK(first == order_by_tables(n, 5, 0, 0));
    CHECK(keyed_order(n, 5, 2, 9) == order_by_tables(n, 5, 2, 9));
    if (n > 12) {  // with few samples, two epochs may be the same by chance
      CHECK(first != keyed_order(n, 5, 0, 1));
      CHECK(first != keyed_order(n, 5, 1, 0));
      CHECK(first != keyed_order(n, 6, 0, 0));
      CHECK(keyed_order(n, 5, 1, 11) != keyed_order(n, 5, 11, 1));
    }
    std::ranges::sort(first);
    for (std::int64_t i = 0; i < n; ++i) CHECK(first[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("sampler: the keyed order is fixed for good") {
  CHECK(keyed_order(10, 1234, 0, 0) == std::vector<std::int64_t>{9, 4, 1, 5, 0, 3, 6, 7, 2, 8});
  CHECK(keyed_order(10, 1234, 0, 1) == std::vector<std::int64_t>{4, 6, 9, 2, 7, 3, 5, 0, 1, 8});
}

TEST_CASE("sampler: more samples than 32 bits can count are ordered without building anything") {
  for (const std::int64_t n :
       {(std::int64_t{1} << 32) + 1, (std::int64_t{1} << 33) - 7, std::int64_t{1} << 62}) {
    const KeyedOrder order(n, 3, 0, 0);
    std::vector<std::int64_t> seen;
    double sum = 0.0;
    for (std::int64_t i = 0; i < 4000; ++i) {
      seen.push_back(order(n - 1 - i));
      CHECK((seen.back() >= 0 && seen.back() < n));
      sum += static_cast<double>(seen.back()) / static_cast<double>(n);
    }
    std::ranges::sort(seen);
    CHECK(std::ranges::adjacent_find(seen) == seen.end());
    CHECK(std::abs(sum / 4000 - 0.5) < 5 * 0.2887 / std::sqrt(4000.0));  // five standard deviations of a mean
  }
}

TEST_CASE("sampler: the permutations of a few samples are equally likely in the keyed order") {
  for (const auto& [n, permutations] : {std::pair{2, 2}, {3, 6}, {4, 24}, {5, 120}}) {
    std::map<std::vector<std::int64_t>, int> seen;
    const int each = 100;
    for (int epoch = 0; epoch < each * permutations; ++epoch) ++seen[keyed_order(n, 42, 0, epoch)];
    CHECK(std::ssize(seen) == permutations);
    double chi = 0.0;
    for (const auto& [order, count] : seen) chi += std::pow(count - each, 2) / each;
    // The mean is p − 1 and the variance 2 (p − 1). The limit is five standard deviations, and more because
    // few degrees of freedom are skewed.
    CHECK(chi < permutations - 1 + 5 * std::sqrt(2.0 * (permutations - 1)) + 10);
  }
}

/// For pairs of a sample's position and the position of the sample that is `distance` further on. Returns
/// chi² over a 16 × 16 grid, with 255 degrees of freedom, and their correlation.
std::pair<double, double> chi_and_correlation(const std::vector<std::int64_t>& order, std::size_t distance) {
  const auto n = static_cast<double>(order.size());
  std::array<double, 256> cells{};
  double product = 0.0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double here = static_cast<double>(order[i]) / n,
                 there = static_cast<double>(order[(i + distance) % order.size()]) / n;
    cells[static_cast<std::size_t>(here * 16) * 16 + static_cast<std::size_t>(there * 16)] += 1.0;
    product += (here - 0.5) * (there - 0.5);
  }
  double chi = 0.0;
  for (const double cell : cells) chi += std::pow(cell - n / 256, 2) / (n / 256);
  return {chi, 12.0 * product / n};
}

TEST_CASE("sampler: the keyed order looks like a plain shuffle: neighbours have nothing in common") {
  const std::int64_t n = 20011;
  const auto plain = epoch_permutation(n, 8, 0, 0);
  for (const auto& order : {keyed_order(n, 8, 0, 0), keyed_order(n, 8, 0, 1),
                            std::vector<std::int64_t>(plain.begin(), plain.end())}) {
    for (const std::size_t distance : std::initializer_list<std::size_t>{1, 2, 3, 7, 16, 141, 256, 10005}) {
      const auto [chi, correlation] = chi_and_correlation(order, distance);
      CHECK(std::abs(chi - 255) < 5 * std::sqrt(2.0 * 255));  // five standard deviations
      CHECK(std::abs(correlation) < 5 / std::sqrt(static_cast<double>(n)));
    }
  }
}

TEST_CASE("sampler: two epochs have as many samples in the same place as chance has") {
  // A random permutation has 1 fixed point on average, with variance 1. So 200 of them have 200 ± 14.
  int same = 0;
  for (int epoch = 0; epoch < 200; ++epoch) {
    const auto a = keyed_order(509, 1, 0, epoch), b = keyed_order(509, 1, 0, epoch + 1);
    for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
  }
  CHECK(std::abs(same - 200) < 5 * 14);
}

TEST_CASE("sampler: orders have names that a checkpoint remembers") {
  for (const SampleOrder order : {SampleOrder::sequential, SampleOrder::shuffled, SampleOrder::keyed})
    CHECK(sample_order_of(name_of(order)) == order);
  CHECK(name_of(SampleOrder::keyed) == "feistel-1");
  CHECK(!sample_order_of("feistel-2"));
}

TEST_CASE("sampler: a sampler over nothing, or a negative position, is refused") {
  CHECK_THROWS_AS(Sampler(0, SampleOrder::shuffled, 1), Error);
  Sampler sampler(3, SampleOrder::sequential, 1);
  CHECK_THROWS_AS(sampler(-1), Error);
}

}  // namespace
}  // namespace granule
