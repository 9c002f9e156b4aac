// The choice is compared with plain sorting and with cases by hand, also where mistakes are easy.
#include "moe/ops/select_experts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/transfer.hpp"
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

Ids chosen(Context& context, const Numbers& scores, const SelectionRule& rule,
           const std::vector<float>& bias = {}) {
  const auto experts = std::ssize(scores);
  Tensor bias_E;
  if (!bias.empty()) {
    bias_E = Tensor::empty(context, {experts}, DType::f32);
    write<float>(bias, bias_E);
  }
  return all<std::int32_t>(
      select_experts(tensor_of(context, {1, experts}, DType::f64, scores), bias_E, rule));
}

Ids chosen(const Numbers& scores, const SelectionRule& rule, const std::vector<float>& bias = {}) {
  TestContext context;
  return chosen(context, scores, rule, bias);
}

constexpr double kTakenOut = -std::numeric_limits<double>::infinity();

/// The rule in another form: sort the groups by their score, then sort the experts that they leave. An
/// expert of score kTakenOut is not there.
Ids by_sorting(const Numbers& scores, const SelectionRule& rule) {
  const auto experts = std::ssize(scores), size = experts / rule.groups;
  const auto group_score = [&](std::int64_t g) {
    Numbers group(scores.begin() + g * size, scores.begin() + (g + 1) * size);
    std::erase(group, kTakenOut);
    if (group.empty()) return kTakenOut;
    std::sort(group.rbegin(), group.rend());
    return rule.group_score == GroupScore::maximum || group.size() == 1 ? group[0] : group[0] + group[1];
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

TEST_CASE("select_experts: it lists experts by falling score and breaks ties by the lower id") {
  CHECK(chosen({0.1, 0.4, 0.2, 0.3}, {.k = 2}) == Ids{1, 3});
  CHECK(chosen({0.5, 0.5, 0.5, 0.5}, {.k = 3}) == Ids{0, 1, 2});
  CHECK(chosen({0.0, 0.9, 0.9, 1.0}, {.k = 4}) == Ids{3, 1, 2, 0});
  CHECK_THROWS_AS(chosen({0.0, 1.0}, {.k = 3}), Error);
  CHECK_THROWS_AS(chosen({0.0, 1.0}, {.k = 0}), Error);
}

TEST_CASE("select_experts: a limit to groups, worked by hand: the maximum and the sum of two disagree") {
  // Groups (0.9 0.0) (0.6 0.5) (0.1 0.2). By the maximum they have 0.9, 0.6, 0.2, and the first wins. By the
  // sum of the two best they have 0.9, 1.1, 0.3, and the second wins.
  const Numbers scores{0.9, 0.0, 0.6, 0.5, 0.1, 0.2};
  CHECK(chosen(scores, {2, 3, 1, GroupScore::maximum}) == Ids{0, 1});
  CHECK(chosen(scores, {2, 3, 1, GroupScore::sum_of_two}) == Ids{2, 3});
  CHECK(chosen(scores, {3, 3, 2, GroupScore::maximum}) == Ids{0, 2, 3});
}

TEST_CASE("select_experts: experts of excluded groups never win, however negative the scores that are left") {
  // With the bias, every score that is left is below zero. Masking with 0 would choose from the excluded
  // group.
  const std::vector<float> bias{-5, -5, -9, -9};
  CHECK(chosen({0.9, 0.8, 0.7, 0.6}, {2, 2, 1, GroupScore::sum_of_two}, bias) == Ids{0, 1});
  CHECK(chosen({0.9, 0.8, 0.7, 0.6}, {2, 2, 1, GroupScore::maximum}, {-9, -9, -5, -5}) == Ids{2, 3});
}

TEST_CASE("select_experts: the bias decides the choice: scores of another order, ties at equal sums") {
  CHECK(chosen({0.9, 0.5, 0.1}, {.k = 1}, {0, 0, 0}) == Ids{0});
  CHECK(chosen({0.9, 0.5, 0.1}, {.k = 1}, {0, 0, 1}) == Ids{2});
  CHECK(chosen({0.5, 0.25, 0.75}, {.k = 2}, {0.25F, 0.5F, 0}) == Ids{0, 1});
}

TEST_CASE("select_experts: a limit to groups agrees with plain sorting, for many random scores") {
  const std::vector<SelectionRule> rules{
      {3, 4, 2, GroupScore::maximum},    {3, 4, 2, GroupScore::sum_of_two},
      {4, 2, 1, GroupScore::sum_of_two}, {2, 12, 5, GroupScore::sum_of_two},
      {6, 3, 3, GroupScore::maximum},    {5, 1, 1, GroupScore::sum_of_two}};
  TestContext context;
  for (const SelectionRule& rule : rules) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
      Numbers scores = normal_values(12, seed);
      if (seed % 3 == 0)  // equal scores
        for (double& score : scores) score = std::round(score);
      CAPTURE(rule.groups, rule.kept_groups, seed);
      CHECK(chosen(context, scores, rule) == by_sorting(scores, rule));
    }
  }
}

TEST_CASE("select_experts: NaN is the lowest score, but above what a group limit excludes") {
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

TEST_CASE("select_experts: masked experts are those of the largest scores, and of equal ones the lower ids") {
  CHECK(chosen({0.1, 0.4, 0.2, 0.3}, {.k = 2, .masked = 1}) == Ids{3, 2});
  CHECK(chosen({0.1, 0.4, 0.2, 0.3}, {.k = 2, .masked = 2}) == Ids{2, 0});
  CHECK(chosen({0.5, 0.5, 0.5, 0.5}, {.k = 2, .masked = 2}) == Ids{2, 3});
  CHECK(chosen({0.0, 0.9, 0.9, 1.0}, {.k = 2, .masked = 2}) == Ids{2, 0});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(chosen({nan, 0.2, nan, 0.3}, {.k = 2, .masked = 2}) == Ids{0, 2});
  CHECK(chosen({nan, nan, nan}, {.k = 2, .masked = 1}) == Ids{1, 2});
}

TEST_CASE("select_experts: the bias has no part in what is masked, and still decides the choice") {
  // By score alone the first two are masked. With the bias these would be the last two.
  const std::vector<float> bias{0, 0, 5, 6};
  CHECK(chosen({0.9, 0.8, 0.7, 0.6}, {.k = 2, .masked = 2}, bias) == Ids{3, 2});
  CHECK(chosen({0.9, 0.8, 0.7, 0.6}, {.k = 1, .masked = 1}, bias) == Ids{3});
  // However large its bias, a masked expert is not chosen.
  CHECK(chosen({0.9, 0.8, 0.7}, {.k = 2, .masked = 1}, {100, 0, -100}) == Ids{1, 2});
}

TEST_CASE("select_experts: a masked expert counts in no group, and a group is worth what is left of it") {
  // Groups (0.9 0.0) (0.6 0.5) (0.4 0.3). Without 0.9 the first is worth 0, by the maximum and by the sum.
  const Numbers scores{0.9, 0.0, 0.6, 0.5, 0.4, 0.3};
  CHECK(chosen(scores, {1, 3, 1, GroupScore::maximum, 1}) == Ids{2});
  CHECK(chosen(scores, {1, 3, 1, GroupScore::sum_of_two, 1}) == Ids{2});
  // Groups (0.9 0.8) (0.3 0.2) (0.7 0.0). Of the third 0 is left, which is still above nothing.
  CHECK(chosen({0.9, 0.8, 0.3, 0.2, 0.7, 0.0}, {1, 3, 2, GroupScore::sum_of_two, 3}) == Ids{2});
  CHECK(chosen({0.9, 0.8, -0.3, -0.2, 0.7, -0.1}, {1, 3, 1, GroupScore::maximum, 1}) == Ids{1});
}

TEST_CASE("select_experts: masking is sorting without the best, for many random scores and groups") {
  const std::vector<SelectionRule> rules{{3, 1, 1, GroupScore::maximum},
                                         {2, 4, 3, GroupScore::maximum},
                                         {2, 3, 2, GroupScore::sum_of_two},
                                         {1, 6, 4, GroupScore::sum_of_two}};
  for (SelectionRule rule : rules) {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      const Numbers scores = normal_values(12, seed);
      for (rule.masked = 1; rule.masked <= 12 / rule.groups * rule.kept_groups - rule.k; ++rule.masked) {
        Numbers left = scores;
        for (std::int64_t i = 0; i < rule.masked; ++i)
          *std::max_element(left.begin(), left.end()) = kTakenOut;
        CAPTURE(rule.groups, rule.masked, seed);
        const Ids ids = chosen(scores, rule);
        CHECK(ids == by_sorting(left, rule));
        for (const std::int32_t id : ids) CHECK(std::isfinite(left[std::size_t(id)]));
      }
    }
  }
}

TEST_CASE("select_experts: a rule that cannot be followed is refused") {
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 2, .masked = 3}), Error);
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 2, .masked = -1}), Error);
  // Both masked experts may be in the one group that is kept.
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 1, .groups = 2, .kept_groups = 1, .masked = 2}), Error);
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 1, .groups = 3}), Error);
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 1, .groups = 2, .kept_groups = 3}), Error);
  CHECK_THROWS_AS(chosen({1, 2, 3, 4}, {.k = 3, .groups = 2, .kept_groups = 1}), Error);
}
