#include "core/ops/gelu.hpp"

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

double gelu_of(GeluApproximate approximate, double x) {
  if (approximate == GeluApproximate::none) return x * 0.5 * (1.0 + std::erf(x / std::numbers::sqrt2));
  return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

Reference reference(GeluApproximate approximate) {
  return [=](const std::vector<Numbers>& in) {
    Numbers y = in[0];
    for (double& value : y) value = gelu_of(approximate, value);
    return y;
  };
}

/// y and dy/dx of one number.
std::pair<double, double> at(Context& context, DType dtype, GeluApproximate approximate, double x) {
  Gelu::Saved saved;
  const Gelu op{approximate};
  const Tensor y = op.forward(&saved, tensor_of(context, {1}, dtype, Numbers{x}));
  const Tensor dx = Tensor::empty(context, {1}, dtype);
  op.backward(saved, tensor_of(context, {1}, dtype, Numbers{1.0}), {dx, 0.0});
  return {values_of(y)[0], values_of(dx)[0]};
}

}  // namespace

TEST_CASE("gelu: gelu, exact and approximate, keeps an operator's promises") {
  for (const auto approximate : {GeluApproximate::none, GeluApproximate::tanh}) {
    for (const Shape& shape : {Shape{5, 7}, Shape{0, 4}, Shape{1}, Shape{130, 257}}) {
      check_op({fmt::format("gelu {} {}", int(approximate), shape.str())}, Gelu{approximate},
               reference(approximate), variable(shape, 2.0));
    }
  }
}

TEST_CASE("gelu is exact by default, and both kinds have the values of tables") {
  test::TestContext context;
  CHECK(Gelu{}.approximate == GeluApproximate::none);
  // Φ(1) and Φ(-3) come from tables of the normal distribution. The approximation was computed from its
  // formula with 30 digits.
  CHECK(at(context, DType::f64, GeluApproximate::none, 1.0).first ==
        Approx(0.8413447460685429).epsilon(1e-15));
  CHECK(at(context, DType::f64, GeluApproximate::none, -3.0).first ==
        Approx(-3.0 * 0.0013498980316300946).epsilon(1e-14));
  CHECK(at(context, DType::f64, GeluApproximate::tanh, 1.0).first ==
        Approx(0.8411919906082768).epsilon(1e-15));
}

TEST_CASE("gelu and its gradient stay finite far out, and pass NaN on") {
  test::TestContext context;
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto approximate : {GeluApproximate::none, GeluApproximate::tanh}) {
      for (const double x : {40.0, 1e4, 1e30}) {
        const auto [value, slope] = at(context, dtype, approximate, x);
        CHECK(value == Approx(x).epsilon(1e-7));  // x itself, in float32
        CHECK(slope == 1.0);
        const auto [low_value, low_slope] = at(context, dtype, approximate, -x);
        CHECK((low_value == 0.0 && low_slope == 0.0));
      }
      const auto [value, slope] = at(context, dtype, approximate, std::numeric_limits<double>::quiet_NaN());
      CHECK((std::isnan(value) && std::isnan(slope)));
    }
  }
}
