#include "data/sampling/sampler.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/error.hpp"
#include "tests/support/catch.hpp"

namespace granule {
namespace {

TEST_CASE("in sequence, sample i of a run is i mod n") {
  Sampler sampler(5, SampleOrder::sequential, 7);
  for (std::int64_t i = 0; i < 23; ++i) CHECK(sampler(i) == i % 5);
}

TEST_CASE("shuffled, every epoch visits each sample once, in an order of its own") {
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

TEST_CASE("shuffled, a position reads the same sample whatever was asked before") {
  Sampler forward(31, SampleOrder::shuffled, 3), backward(31, SampleOrder::shuffled, 3);
  std::vector<std::int64_t> a, b;
  for (std::int64_t i = 0; i < 100; ++i) a.push_back(forward(i));
  for (std::int64_t i = 100; i-- > 0;) b.push_back(backward(i));
  std::ranges::reverse(b);
  CHECK(a == b);
}

TEST_CASE("the order of an epoch is fixed for good: resumed runs of later versions must read the same") {
  CHECK(epoch_permutation(10, 1234, 0, 0) == std::vector<std::uint32_t>{4, 9, 8, 5, 7, 2, 3, 6, 0, 1});
  CHECK(epoch_permutation(10, 1234, 0, 1) == std::vector<std::uint32_t>{2, 1, 6, 8, 5, 3, 9, 7, 0, 4});
  CHECK(epoch_permutation(1, 1234, 0, 0) == std::vector<std::uint32_t>{0});
}

TEST_CASE("every sample is as likely as another in every place") {
  // 4000 permutations of 5: each (sample, place) is seen 800 times on average with standard deviation 25.3.
  std::array<std::array<int, 5>, 5> seen{};
  for (std::int64_t epoch = 0; epoch < 4000; ++epoch) {
    const auto order = epoch_permutation(5, 99, 0, epoch);
    for (std::size_t place = 0; place < 5; ++place) ++seen[order[place]][place];
  }
  for (const auto& row : seen) {
    for (const int count : row) CHECK(std::abs(count - 800) < 130);  // five standard deviations
  }
}

TEST_CASE("a sampler over nothing, or a negative position, is refused") {
  CHECK_THROWS_AS(Sampler(0, SampleOrder::shuffled, 1), Error);
  Sampler sampler(3, SampleOrder::sequential, 1);
  CHECK_THROWS_AS(sampler(-1), Error);
}

}  // namespace
}  // namespace granule
