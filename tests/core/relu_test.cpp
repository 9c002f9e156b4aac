#include "core/ops/relu.hpp"

#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

Numbers reference(const std::vector<Numbers>& x) {
  Numbers y = x[0];
  for (double& value : y) value = std::max(value, 0.0);
  return y;
}

}  // namespace

TEST_CASE("relu keeps an operator's promises") {
  for (const Shape& shape : {Shape{5, 7}, Shape{0, 4}, Shape{1}, Shape{300, 257}}) {
    check_op({"relu " + shape.str()}, Relu{}, reference, variable(shape));
  }
}

TEST_CASE("relu has no slope at zero, and passes NaN on both ways") {
  test::TestContext context;
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f32, DType::f64}) {
    Relu::Saved saved;
    const Tensor y =
        Relu{}.forward(&saved, tensor_of(context, {5}, dtype, Numbers{-inf, -1.0, 0.0, inf, nan}));
    const Tensor dx = Tensor::empty(context, {5}, dtype);
    Relu{}.backward(saved, tensor_of(context, {5}, dtype, Numbers(5, 3.0)), {dx, 0.0});
    const Numbers value = values_of(y), slope = values_of(dx);
    CHECK((value[0] == 0.0 && value[1] == 0.0 && value[2] == 0.0 && value[3] == inf && std::isnan(value[4])));
    CHECK(slope == Numbers{0.0, 0.0, 0.0, 3.0, 3.0});
  }
}
