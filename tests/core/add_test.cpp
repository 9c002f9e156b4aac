#include "core/ops/add.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("add keeps an operator's promises") {
  const Reference reference = [](const std::vector<Numbers>& x) {
    Numbers y(x[0].size());
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = x[0][i] + x[1][i];
    return y;
  };
  for (const Shape& shape : {Shape{5, 7}, Shape{0, 4}, Shape{1}, Shape{300, 257}}) {
    check_op({.name = "add " + shape.str(), .bf16 = true}, Add{}, reference, variable(shape),
             variable(shape));
  }
}

TEST_CASE("add refuses unlike operands and names them") {
  test::TestContext context;
  const Tensor a = Tensor::zeros(context, {2, 3}, DType::f32), b = Tensor::zeros(context, {3, 2}, DType::f32);
  CHECK_THROWS_WITH(Add{}.forward(nullptr, a, b), Catch::Contains("add: [2, 3] + [3, 2]"));
  CHECK_THROWS_WITH(Add{}.forward(nullptr, a, Tensor::zeros(context, {2, 3}, DType::f64)),
                    Catch::Contains("add: f32 + f64"));
}
