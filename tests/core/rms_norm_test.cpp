#include "core/ops/rms_norm.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

Reference reference(std::size_t N, std::size_t D, double eps) {
  return [=](const std::vector<Numbers>& in) {
    Numbers y(N * D);
    for (std::size_t i = 0; i < N; ++i) {
      double square = 0.0;
      for (std::size_t j = 0; j < D; ++j) square += in[0][i * D + j] * in[0][i * D + j];
      const double rms = std::sqrt(square / double(D) + eps);
      for (std::size_t j = 0; j < D; ++j) y[i * D + j] = in[1][j] * in[0][i * D + j] / rms;
    }
    return y;
  };
}

}  // namespace

TEST_CASE("rms_norm keeps an operator's promises") {
  const std::vector<std::array<std::int64_t, 2>> shapes{{5, 7}, {1, 1}, {0, 4}, {3, 1}, {1, 40}, {200, 33}};
  for (const auto& [N, D] : shapes) {
    const double eps = D <= 7 ? 0.3 : 1e-6;  // with one column, a small eps would cancel everything
    check_op({.name = fmt::format("rms_norm {} {}", N, D), .bf16 = true}, RmsNorm{eps},
             reference(std::size_t(N), std::size_t(D), eps), variable({N, D}), parameter({D}));
  }
}

TEST_CASE("rms_norm sums a long f32 row as if in float64") {
  // If 2^16 float32 squares were added one by one in float32, the sum would be wrong by 1e-4.
  test::TestContext context;
  const std::int64_t D = computes_slowly() ? 1 << 13 : 1 << 16;  // CUDA takes no longer rows
  const Numbers x(static_cast<std::size_t>(D), 1.1F);
  const Tensor y =
      RmsNorm{0.0}.forward(nullptr, tensor_of(context, {1, D}, DType::f32, x),
                           tensor_of(context, {D}, DType::f32, Numbers(static_cast<std::size_t>(D), 1.0)));
  CHECK(std::abs(values_of(y).back() - 1.0) < 3e-7);  // two roundings, which are 1.2e-7 above 1
}

TEST_CASE("rms_norm refuses a weight of another width and states both") {
  test::TestContext context;
  CHECK_THROWS_WITH(RmsNorm{}.forward(nullptr, Tensor::zeros(context, {2, 3}, DType::f32),
                                      Tensor::zeros(context, {4}, DType::f32)),
                    Catch::Contains("rms_norm: x [2, 3] with w [4]"));
}
