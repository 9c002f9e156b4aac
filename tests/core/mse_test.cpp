#include "core/ops/mse.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("mse keeps an operator's promises") {
  const Reference reference = [](const std::vector<Numbers>& x) {
    double sum = 0.0;
    for (std::size_t i = 0; i < x[0].size(); ++i) sum += (x[0][i] - x[1][i]) * (x[0][i] - x[1][i]);
    return Numbers{sum / static_cast<double>(x[0].size())};
  };
  for (const Shape& shape : {Shape{5, 7}, Shape{1}, Shape{130, 257}}) {
    check_op({"mse " + shape.str()}, Mse{}, reference, variable(shape), variable(shape));
  }
}

TEST_CASE("mse sums in float64, so that a float32 mean of many squares loses nothing") {
  test::TestContext context;
  constexpr std::int64_t kElements = 1 << 18;
  const Tensor a = tensor_of(context, {kElements}, DType::f32, Numbers(kElements, 1.5));
  const Tensor b = tensor_of(context, {kElements}, DType::f32, Numbers(kElements, 1.25));
  CHECK(test::values_of(Mse{}.forward(nullptr, a, b)) == test::Numbers{0.0625});
}

TEST_CASE("mse refuses unlike operands and a mean of nothing") {
  test::TestContext context;
  const Tensor a = Tensor::zeros(context, {2, 3}, DType::f32), b = Tensor::zeros(context, {3, 2}, DType::f32);
  CHECK_THROWS_WITH(Mse{}.forward(nullptr, a, b), Catch::Contains("mse: [2, 3] - [3, 2]"));
  const Tensor none = Tensor::zeros(context, {0, 3}, DType::f32);
  CHECK_THROWS_WITH(Mse{}.forward(nullptr, none, none), Catch::Contains("mse: [0, 3] has no elements"));
}
