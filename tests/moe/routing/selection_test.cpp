// Which experts a token chooses. It is compared with plain sorting and with cases by hand, also where
// mistakes are easy.
#include "moe/routing/selection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/transfer.hpp"
#include "moe/ops/count_choices.hpp"
#include "moe/ops/hash_experts.hpp"
#include "moe/ops/limit_capacity.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;
using GroupScore = SelectionRule::GroupScore;

namespace {

template <class T>
std::vector<T> all(const Tensor& tensor) {
  const HostCopy<T> copy = read_back<T>(tensor);
  return {copy.get().begin(), copy.get().end()};
}

Ids chosen(const Numbers& scores, const SelectionRule& rule, const std::vector<float>& bias = {}) {
  TestContext context;
  const auto experts = std::ssize(scores);
  Tensor bias_E;
  if (!bias.empty()) {
    bias_E = Tensor::empty(context, {experts}, DType::f32);
    write<float>(bias, bias_E);
  }
  return all<std::int32_t>(
      select_experts(tensor_of(context, {1, experts}, DType::f64, scores), bias_E, rule));
}

/// The rule in another form: sort the groups by their score, then sort the experts that they leave.
Ids by_sorting(const Numbers& scores, const SelectionRule& rule) {
  const auto experts = std::ssize(scores), size = experts / rule.groups;
  const auto group_score = [&](std::int64_t g) {
    Numbers group(scores.begin() + g * size, scores.begin() + (g + 1) * size);
    std::sort(group.rbegin(), group.rend());
    return rule.group_score == GroupScore::maximum || size == 1 ? group[0] : group[0] + group[1];
  };
  std::vector<std::int64_t> groups;
  for (std::int64_t g = 0; g < rule.groups; ++g) groups.push_back(g);
  std::stable_sort(groups.begin(), groups.end(),
                   [&](auto a, auto b) { return group_score(a) > group_score(b); });
  Ids left;
  for (std::int64_t g = 0; g < rule.kept_groups; ++g) {
    for (std::int64_t e = 0; e < size; ++e)
      left.push_back(static_cast<std::int32_t>(groups[std::size_t(g)] * size + e));
  }
  std::sort(left.begin(), left.end());
  std::stable_sort(left.begin(), left.end(),
                   [&](auto a, auto b) { return scores[std::size_t(a)] > scores[std::size_t(b)]; });
  left.resize(std::size_t(rule.k));
  return left;
}

}  // namespace

TEST_CASE("top-k lists experts by falling score and breaks ties by the lower id") {
  CHECK(chosen({0.1, 0.4, 0.2, 0.3}, {.k = 2}) == Ids{1, 3});
  CHECK(chosen({0.5, 0.5, 0.5, 0.5}, {.k = 3}) == Ids{0, 1, 2});
  CHECK(chosen({0.0, 0.9, 0.9, 1.0}, {.k = 4}) == Ids{3, 1, 2, 0});
  CHECK_THROWS_AS(chosen({0.0, 1.0}, {.k = 3}), Error);
  CHECK_THROWS_AS(chosen({0.0, 1.0}, {.k = 0}), Error);
}

TEST_CASE("a selection limited to groups, worked by hand: the maximum and the sum of two disagree") {
  // Groups (0.9 0.0) (0.6 0.5) (0.1 0.2). By the maximum they have 0.9, 0.6, 0.2, and the first wins. By the
  // sum of the two best they have 0.9, 1.1, 0.3, and the second wins.
  const Numbers scores{0.9, 0.0, 0.6, 0.5, 0.1, 0.2};
  CHECK(chosen(scores, {2, 3, 1, GroupScore::maximum}) == Ids{0, 1});
  CHECK(chosen(scores, {2, 3, 1, GroupScore::sum_of_two}) == Ids{2, 3});
  CHECK(chosen(scores, {3, 3, 2, GroupScore::maximum}) == Ids{0, 2, 3});
}

TEST_CASE("experts of excluded groups never win, however negative the scores that are left") {
  // With the bias, every score that is left is below zero. Masking with 0 would choose from the excluded
  // group.
  const std::vector<float> bias{-5, -5, -9, -9};
  CHECK(chosen({0.9, 0.8, 0.7, 0.6}, {2, 2, 1, GroupScore::sum_of_two}, bias) == Ids{0, 1});
  CHECK(chosen({0.9, 0.8, 0.7, 0.6}, {2, 2, 1, GroupScore::maximum}, {-9, -9, -5, -5}) == Ids{2, 3});
}

TEST_CASE("the bias decides the choice: scores of another order, ties at equal sums") {
  CHECK(chosen({0.9, 0.5, 0.1}, {.k = 1}, {0, 0, 0}) == Ids{0});
  CHECK(chosen({0.9, 0.5, 0.1}, {.k = 1}, {0, 0, 1}) == Ids{2});
  CHECK(chosen({0.5, 0.25, 0.75}, {.k = 2}, {0.25F, 0.5F, 0}) == Ids{0, 1});
}

TEST_CASE("a selection limited to groups agrees with plain sorting, for many random scores") {
  const std::vector<SelectionRule> rules{
      {3, 4, 2, GroupScore::maximum},    {3, 4, 2, GroupScore::sum_of_two},
      {4, 2, 1, GroupScore::sum_of_two}, {2, 12, 5, GroupScore::sum_of_two},
      {6, 3, 3, GroupScore::maximum},    {5, 1, 1, GroupScore::sum_of_two}};
  for (const SelectionRule& rule : rules) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      Numbers scores = normal_values(12, seed);
      if (seed % 3 == 0)  // equal scores
        for (double& score : scores) score = std::round(score);
      CAPTURE(rule.groups, rule.kept_groups, seed);
      CHECK(chosen(scores, rule) == by_sorting(scores, rule));
    }
  }
}

TEST_CASE("NaN is the lowest score, but above what a group limit excludes") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(chosen({nan, 0.1, nan, 0.3, 0.2}, {.k = 4}) == Ids{3, 4, 1, 0});
  CHECK(chosen({nan, nan, nan, nan}, {.k = 2}) == Ids{0, 1});
  CHECK(chosen({0.1, 0.2, 0.9, nan}, {2, 2, 1, GroupScore::maximum}) == Ids{2, 3});
  CHECK(chosen({0.1, nan, 0.2, 0.3}, {2, 2, 1, GroupScore::sum_of_two}) == Ids{3, 2});
  CHECK(chosen({0.5, 0.4, 0.3}, {.k = 2}, {std::numeric_limits<float>::quiet_NaN(), 0, 0}) == Ids{1, 2});
  // There are many NaN in one row. A sort that takes NaN as equal to everything fails there.
  Numbers scores = normal_values(60, 1);
  for (std::size_t e = 0; e < scores.size(); e += 3) scores[e] = nan;
  Numbers lowest = scores;
  for (double& score : lowest) score = std::isnan(score) ? -1e300 : score;
  CHECK(chosen(scores, {.k = 40}) == by_sorting(lowest, {.k = 40}));
}

TEST_CASE("a rule that cannot be followed is refused") {
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 1, .groups = 3}), Error);
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 1, .groups = 2, .kept_groups = 3}), Error);
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 3, .groups = 2, .kept_groups = 1}), Error);
}

TEST_CASE("the hash router sends a token id to the same distinct experts always, and spreads the ids") {
  TestContext context;
  const std::int64_t vocabulary = 4000, experts = 16, k = 3;
  Ids tokens(static_cast<std::size_t>(vocabulary));
  for (std::int64_t t = 0; t < vocabulary; ++t) tokens[std::size_t(t)] = static_cast<std::int32_t>(t);
  const Ids once = all<std::int32_t>(hash_experts(ids_of(context, {vocabulary}, tokens), experts, k, 7));
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts), 0);
  for (std::int64_t t = 0; t < vocabulary; ++t) {
    const std::set<std::int32_t> of_token(once.begin() + t * k, once.begin() + (t + 1) * k);
    REQUIRE(std::ssize(of_token) == k);
    for (const std::int32_t e : of_token) ++counts[std::size_t(e)];
  }
  // 750 are expected with a standard deviation of 25. The limit is five of them.
  for (const std::int64_t count : counts) CHECK(std::abs(count - 750) < 125);
  std::reverse(tokens.begin(), tokens.end());
  const Ids again = all<std::int32_t>(hash_experts(ids_of(context, {vocabulary}, tokens), experts, k, 7));
  CHECK(Ids(again.end() - k, again.end()) == Ids(once.begin(), once.begin() + k));
  const Ids other = all<std::int32_t>(hash_experts(ids_of(context, {vocabulary}, tokens), experts, k, 8));
  CHECK(other != again);
}

TEST_CASE("choices are counted by unit, without padding") {
  TestContext context;
  const Tensor ids = ids_of(context, {4, 2}, Ids{0, 1, 0, 2, 2, 1, 2, 0});
  CHECK(all<std::int64_t>(count_choices(ids, 3, 1)) == std::vector<std::int64_t>{3, 2, 3});
  CHECK(all<std::int64_t>(count_choices(ids, 3, 2)) == std::vector<std::int64_t>{2, 1, 1, 1, 1, 2});
  const Tensor valid = ids_of(context, {4}, Ids{1, 0, 1, 1});
  CHECK(all<std::int64_t>(count_choices(ids, 3, 2, valid)) == std::vector<std::int64_t>{1, 1, 0, 1, 1, 2});
  CHECK(count_choices(ids_of(context, {0, 2}, {}), 3, 0).numel() == 0);
  CHECK_THROWS_AS(count_choices(ids, 3, 3), Error);
  CHECK_THROWS_AS(count_choices(ids, 3, 0), Error);
  CHECK_THROWS_AS(count_choices(ids, 2, 1), Error);
}

TEST_CASE("an expert over its capacity, worked by hand: the least affine tokens go, then the later ones") {
  TestContext context;
  // Four tokens, top-2 of 3. All tokens want expert 0, with affinities 0.5 0.7 0.5 0.2, and it takes two.
  // These are token 1 and then token 0, the earlier of the equal ones. Experts 1 and 2 have room.
  const Tensor ids = ids_of(context, {4, 2}, Ids{0, 1, 0, 2, 2, 0, 0, 1});
  const Tensor affinity = tensor_of(context, {4, 3}, DType::f64,
                                    Numbers{0.5, 0.3, 0.2, 0.7, 0.1, 0.2, 0.5, 0.0, 0.5, 0.2, 0.6, 0.2});
  CHECK(all<std::int32_t>(within_capacity(ids, affinity, 3, 2)) == Ids{0, 1, 0, 2, 2, -1, -1, 1});
  CHECK(all<std::int32_t>(within_capacity(ids, {}, 3, 2)) == Ids{0, 1, 0, 2, 2, -1, -1, 1});
  CHECK(all<std::int32_t>(within_capacity(ids, affinity, 3, 4)) == all<std::int32_t>(ids));
  // NaN is the lowest affinity.
  const Tensor broken =
      tensor_of(context, {4, 3}, DType::f64,
                Numbers{std::nan(""), 0.3, 0.2, 0.7, 0.1, 0.2, std::nan(""), 0.0, 0.5, 0.2, 0.6, 0.2});
  CHECK(all<std::int32_t>(within_capacity(ids, broken, 3, 2)) == Ids{-1, 1, 0, 2, 2, -1, 0, 1});
  // Padding takes no place. Without token 1, the first two of the others are taken.
  const Tensor valid = ids_of(context, {4}, Ids{1, 0, 1, 1});
  CHECK(all<std::int32_t>(within_capacity(ids, affinity, 3, 2, valid)) == Ids{0, 1, -1, -1, 2, 0, -1, 1});
}

TEST_CASE("an expert's capacity is rounded up") {
  MoeConfig moe;
  moe.n_routed_experts = 8;
  moe.num_experts_per_tok = 2;
  moe.capacity_factor = 1.0;
  CHECK(expert_capacity(moe, 16) == 4);
  CHECK(expert_capacity(moe, 17) == 5);
  moe.capacity_factor = 1.25;
  CHECK(expert_capacity(moe, 16) == 5);
  moe.capacity_factor = 0.01;
  CHECK(expert_capacity(moe, 16) == 1);
}

// 1.1 · 3 · 60 / 6 is 33, although the nearest double of 1.1 makes it 33.000000000000004.
TEST_CASE("an expert's capacity is that of the factor as it was written") {
  MoeConfig moe;
  moe.n_routed_experts = 6;
  moe.num_experts_per_tok = 3;
  moe.capacity_factor = 1.1;
  CHECK(expert_capacity(moe, 60) == 33);
  CHECK(expert_capacity(moe, 61) == 34);
  moe.capacity_factor = 0.1;
  CHECK(expert_capacity(moe, 20) == 1);
  moe.capacity_factor = 1e-6;
  CHECK(expert_capacity(moe, 60) == 1);
}
