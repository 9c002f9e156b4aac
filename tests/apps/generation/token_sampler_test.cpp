#include "apps/generation/token_sampler.hpp"

#include <cmath>

#include "tests/support/catch.hpp"

using granule::SamplingOptions;
using granule::TokenSampler;

namespace {

// Ids 2, 0, 1 and 3 have probabilities 0.5, 0.25, 0.125 and 0.125.
const std::vector<double> kLogits{std::log(0.25) + 7.0, std::log(0.125) + 7.0, std::log(0.5) + 7.0,
                                  std::log(0.125) + 7.0};

/// How often each id is chosen, as a share of many choices.
std::vector<double> shares(const SamplingOptions& options, const std::vector<double>& logits = kLogits) {
  constexpr int kDraws = 40'000;
  TokenSampler sampler(options);
  std::vector<double> counts(logits.size());
  for (int i = 0; i < kDraws; ++i)
    counts.at(static_cast<std::size_t>(sampler.choose(logits))) += 1.0 / kDraws;
  return counts;
}

// Four standard deviations of a share of 40,000 draws: 4 · √(0.25 / 40,000).
constexpr double kNoise = 0.01;

void check_shares(const SamplingOptions& options, const std::vector<double>& expected) {
  const auto found = shares(options);
  CAPTURE(found);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs(found[i] - expected[i]) < kNoise);
    if (expected[i] == 0.0) CHECK(found[i] == 0.0);
  }
}

}  // namespace

TEST_CASE("token_sampler: tokens are drawn with the probabilities the model predicts") {
  check_shares({}, {0.25, 0.125, 0.5, 0.125});
  check_shares({.seed = 1}, {0.25, 0.125, 0.5, 0.125});
}

TEST_CASE("token_sampler: a temperature of a half squares the probabilities") {
  // 1/16, 1/64, 1/4, 1/64 over their sum 22/64.
  check_shares({.temperature = 0.5}, {4.0 / 22, 1.0 / 22, 16.0 / 22, 1.0 / 22});
}

TEST_CASE("token_sampler: temperature 0 takes the likeliest token, of equals the first") {
  TokenSampler sampler({.temperature = 0.0});
  CHECK(sampler.choose(kLogits) == 2);
  CHECK(sampler.choose(std::vector<double>{1.0, 3.0, 3.0}) == 1);
}

TEST_CASE("token_sampler: top-k keeps the k likeliest, of equals the first") {
  check_shares({.top_k = 1}, {0, 0, 1, 0});
  check_shares({.top_k = 3}, {2.0 / 7, 1.0 / 7, 4.0 / 7, 0});
  check_shares({.top_k = 9}, {0.25, 0.125, 0.5, 0.125});
}

TEST_CASE("token_sampler: top-p keeps the fewest tokens that together reach it") {
  check_shares({.top_p = 1e-9}, {0, 0, 1, 0});
  check_shares({.top_p = 0.4999}, {0, 0, 1, 0});
  check_shares({.top_p = 0.51}, {1.0 / 3, 0, 2.0 / 3, 0});
  check_shares({.top_p = 0.80}, {2.0 / 7, 1.0 / 7, 4.0 / 7, 0});
  // Of what top-k left, 4/7 is already above a half.
  check_shares({.top_k = 3, .top_p = 0.5}, {0, 0, 1, 0});
}

TEST_CASE("token_sampler: the seed decides the choices and another seed makes others") {
  const auto choices = [](std::uint64_t seed) {
    TokenSampler sampler({.seed = seed});
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.choose(kLogits));
    return ids;
  };
  CHECK(choices(3) == choices(3));
  CHECK(choices(3) != choices(4));
}

TEST_CASE("token_sampler: logits beyond what float64 can exponentiate are no trouble") {
  TokenSampler sampler({.temperature = 1e-300});
  CHECK(sampler.choose(std::vector<double>{-1e308, 1e308, 1e308 * 0.99}) == 1);
}
