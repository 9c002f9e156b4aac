#include "core/ops/softmax.hpp"

#include <cmath>

#include "core/kernels/softmax.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

Reference reference(std::size_t N, std::size_t E) {
  return [=](const std::vector<Numbers>& in) {
    Numbers y(N * E);
    for (std::size_t i = 0; i < N; ++i) {
      double sum = 0.0;
      for (std::size_t j = 0; j < E; ++j) sum += std::exp(in[0][i * E + j]);
      for (std::size_t j = 0; j < E; ++j) y[i * E + j] = std::exp(in[0][i * E + j]) / sum;
    }
    return y;
  };
}

}  // namespace

TEST_CASE("softmax keeps an operator's promises") {
  const std::vector<std::array<std::int64_t, 2>> shapes{{5, 7}, {1, 1}, {0, 4}, {3, 16}, {200, 33}};
  for (const auto& [N, E] : shapes) {
    check_op({fmt::format("softmax {} {}", N, E)}, Softmax{}, reference(std::size_t(N), std::size_t(E)),
             variable({N, E}, 2.0));
  }
}

TEST_CASE("softmax of large numbers neither overflows nor loses its sum") {
  test::TestContext context;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Numbers x{1e4, 1e4 - 1, -1e4, 1e4};
    const Numbers y = values_of(Softmax{}.forward(nullptr, tensor_of(context, {1, 4}, dtype, x)));
    const double sum = 2.0 + std::exp(-1.0);
    const Numbers expected{1 / sum, std::exp(-1.0) / sum, 0.0, 1 / sum};
    CHECK(relative_difference(y, expected) <= (dtype == DType::f32 ? 2e-7 : 1e-15));
  }
}

TEST_CASE(
    "softmax: a softmax row gives its log-sum, its second run from it, and its gradient, at any length") {
  for (std::int64_t n = 1; n <= 70; ++n) {
    INFO(n << " elements");
    const Numbers x = normal_values(n, 5, 3.0), dp = normal_values(n, 6);
    constexpr double kScale = 0.7;
    double sum = 0.0;
    for (const double v : x) sum += std::exp(kScale * v);
    Numbers first = x, again = x, exponentials = x, third = x, gradient = dp;
    const double log_sum = softmax_row(first.data(), n, kScale);
    CHECK(log_sum == Approx(std::log(sum)).epsilon(1e-14));
    softmax_row_again(again.data(), n, kScale, log_sum);
    CHECK(relative_difference(again, first) <= 2e-15);
    const ExpSum found = exp_row(exponentials.data(), n, kScale);
    CHECK(found.log_sum == log_sum);
    softmax_row_backward(third.data(), gradient.data(), n, kScale, log_sum, 0.3);
    CHECK(third == again);
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(first[i] == Approx(std::exp(kScale * x[i]) / sum).epsilon(1e-14));
      CHECK(exponentials[i] / found.sum == Approx(first[i]).epsilon(1e-14));
      CHECK(gradient[i] == Approx(kScale * first[i] * (dp[i] - 0.3)).epsilon(1e-14));
    }
  }
}
