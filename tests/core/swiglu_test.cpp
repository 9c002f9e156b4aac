#include "core/ops/swiglu.hpp"

#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

Reference reference(std::size_t N, std::size_t F) {
  return [=](const std::vector<Numbers>& in) {
    Numbers y(N * F);
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t j = 0; j < F; ++j) {
        const double g = in[0][i * 2 * F + j], u = in[0][i * 2 * F + F + j];
        y[i * F + j] = g / (1.0 + std::exp(-g)) * u;
      }
    }
    return y;
  };
}

}  // namespace

TEST_CASE("swiglu keeps an operator's promises") {
  const std::vector<std::array<std::int64_t, 2>> shapes{{5, 7}, {1, 1}, {0, 4}, {3, 0}, {40, 33}};
  for (const auto& [N, F] : shapes) {
    check_op({.name = fmt::format("swiglu {} {}", N, F), .bf16 = true}, SwiGlu{},
             reference(std::size_t(N), std::size_t(F)), variable({N, 2 * F}, 3.0));
  }
}

TEST_CASE("swiglu and its gradient stay finite and exact at the ends of the sigmoid") {
  test::TestContext context;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Numbers g{-1e4, -200.0, -89.0, -20.0, 0.0, 20.0, 89.0, 1e4};
    Numbers x = g;
    x.resize(16, 1.0);
    SwiGlu::Saved saved;
    const Tensor y = SwiGlu{}.forward(&saved, tensor_of(context, {1, 16}, dtype, x));
    const Tensor dx = Tensor::empty(context, {1, 16}, dtype);
    SwiGlu{}.backward(saved, tensor_of(context, {1, 8}, dtype, Numbers(8, 1.0)), {dx, 0.0});
    const Numbers value = values_of(y), slope = values_of(dx);
    for (std::size_t i = 0; i < g.size(); ++i) {
      const double e = std::exp(-std::abs(g[i])), s = g[i] > 0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
      const double tolerance = dtype == DType::f32 ? 4e-7 : 1e-14;  // a few roundings
      CHECK(std::abs(value[i] - g[i] * s) <= tolerance * std::max(1.0, std::abs(g[i] * s)));
      CHECK(std::abs(slope[i] - s * (1.0 + g[i] * (1.0 - s))) <= tolerance);
      CHECK(std::abs(slope[8 + i] - g[i] * s) <= tolerance * std::max(1.0, std::abs(g[i] * s)));
    }
  }
}

TEST_CASE("swiglu passes NaN on instead of hiding it") {
  test::TestContext context;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Tensor y = SwiGlu{}.forward(nullptr, tensor_of(context, {1, 2}, dtype, Numbers{nan, 1.0}));
    CHECK(std::isnan(values_of(y)[0]));
  }
}
