#include "core/ops/linear_cross_entropy.hpp"

#include <cmath>

#include "core/random.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int32_t kNone = kIgnoreTarget;

void check_loss(std::int64_t D, std::int64_t V, const std::vector<std::int32_t>& targets,
                double f32_tolerance = 2e-6) {
  const auto width = static_cast<std::size_t>(D), words = static_cast<std::size_t>(V);
  const Reference reference = [=](const std::vector<Numbers>& in) {
    double loss = 0.0;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i] == kNone) continue;
      double sum = 0.0, at_target = 0.0;
      for (std::size_t v = 0; v < words; ++v) {
        double z = 0.0;
        for (std::size_t j = 0; j < width; ++j) z += in[0][i * width + j] * in[1][v * width + j];
        sum += std::exp(z);
        if (v == static_cast<std::size_t>(targets[i])) at_target = z;
      }
      loss += std::log(sum) - at_target;
    }
    return Numbers{loss};
  };
  const auto N = static_cast<std::int64_t>(targets.size());
  check_op({.name = fmt::format("linear_cross_entropy {} {} {}", N, D, V),
            .f32_tolerance = f32_tolerance,
            .bf16 = true},
           LinearCrossEntropy{}, reference, variable({N, D}), parameter({V, D}, 0.5),
           plain_ids({N}, targets));
}

std::vector<std::int32_t> random_targets(std::size_t n, std::uint64_t vocabulary) {
  std::vector<std::int32_t> targets(n);
  for (std::size_t i = 0; i < n; ++i)
    targets[i] =
        i % 5 == 4 ? kNone : static_cast<std::int32_t>(RandomStream(1, "targets").below(vocabulary, i));
  return targets;
}

}  // namespace

TEST_CASE("linear_cross_entropy keeps an operator's promises, with ignored targets and none at all") {
  check_loss(3, 7, {0, 6, kNone, 3});
  check_loss(1, 1, {0});
  check_loss(3, 4, {});
  check_loss(3, 4, {kNone, kNone});
  check_loss(9, 40, random_targets(70, 40));
}

TEST_CASE("linear_cross_entropy over several chunks of rows equals plain loops") {
  // A chunk has at most 1024 rows, so there are two chunks. The gradient of w sums over 1100 rows: 1e-5 in
  // f32.
  check_loss(4, 30, random_targets(1100, 30), 1e-5);
}

TEST_CASE("linear_cross_entropy refuses targets outside the vocabulary and states both numbers") {
  test::TestContext context;
  const Tensor x = Tensor::zeros(context, {1, 2}, DType::f32), w = Tensor::zeros(context, {4, 2}, DType::f32);
  for (const std::int32_t target : {4, -1}) {
    CHECK_THROWS_WITH(
        values_of(LinearCrossEntropy{}.forward(nullptr, x, w, ids_of(context, {1}, std::vector{target}))),
        Catch::Contains(fmt::format("linear_cross_entropy: target {}, the vocabulary has 4", target)));
  }
}
