#include "core/ops/bias_add.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("bias_add keeps an operator's promises") {
  const std::vector<std::array<std::int64_t, 2>> shapes{{5, 7}, {1, 1}, {0, 4}, {3, 0}, {6, 1}, {200, 33}};
  for (const auto& [N, O] : shapes) {
    const auto width = static_cast<std::size_t>(O);
    const Reference reference = [=](const std::vector<Numbers>& in) {
      Numbers y = in[0];
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += in[1][i % width];
      return y;
    };
    check_op({.name = fmt::format("bias_add {} {}", N, O), .bf16 = true}, BiasAdd{}, reference,
             variable({N, O}), parameter({O}));
  }
}

TEST_CASE("bias_add refuses a bias of another width and states both") {
  test::TestContext context;
  CHECK_THROWS_WITH(BiasAdd{}.forward(nullptr, Tensor::zeros(context, {2, 3}, DType::f32),
                                      Tensor::zeros(context, {2}, DType::f32)),
                    Catch::Contains("bias_add: x [2, 3] with b [2]"));
}
