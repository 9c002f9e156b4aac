#include "core/ops/linear.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

Reference reference(std::size_t N, std::size_t D, std::size_t O) {
  return [=](const std::vector<Numbers>& in) {
    Numbers y(N * O, 0.0);
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t o = 0; o < O; ++o)
        for (std::size_t j = 0; j < D; ++j) y[i * O + o] += in[0][i * D + j] * in[1][o * D + j];
    return y;
  };
}

}  // namespace

TEST_CASE("linear keeps an operator's promises") {
  const std::vector<std::array<std::int64_t, 3>> shapes{{5, 7, 3}, {1, 1, 1}, {0, 4, 3}, {4, 1, 6},
                                                        {1, 9, 2}, {3, 0, 2}, {3, 2, 0}, {130, 70, 200}};
  for (const auto& [N, D, O] : shapes) {
    check_op({.name = fmt::format("linear {} {} {}", N, D, O), .bf16 = true}, LinearMap{},
             reference(std::size_t(N), std::size_t(D), std::size_t(O)), variable({N, D}), parameter({O, D}));
  }
}

TEST_CASE("linear refuses shapes that do not fit and states both") {
  test::TestContext context;
  const auto zeros = [&](const Shape& shape) { return Tensor::zeros(context, shape, DType::f32); };
  CHECK_THROWS_WITH(LinearMap{}.forward(nullptr, zeros({2, 3}), zeros({4, 5})),
                    Catch::Contains("linear: x [2, 3] with w [4, 5]"));
  CHECK_THROWS_WITH(LinearMap{}.forward(nullptr, zeros({2, 2, 3}), zeros({4, 3})),
                    Catch::Contains("x [2, 2, 3]"));
}

TEST_CASE("linear: a wide result of bf16 is not rounded, and its gradients are those of the widened inputs") {
  for (const auto& [N, D, O] : {std::array<std::int64_t, 3>{5, 7, 3}, {1, 9, 2}, {0, 4, 3}, {40, 70, 33}}) {
    const auto name = fmt::format("wide linear {} {} {}", N, D, O);
    // A sum of up to 70 products in f32, and dx is rounded.
    check_op({.name = name, .bf16 = true}, LinearMap{.rounding = Rounding::none},
             reference(std::size_t(N), std::size_t(D), std::size_t(O)), variable({N, D}), parameter({O, D}));
  }
  TestContext context;
  const Tensor x = tensor_of(context, {1, 2}, DType::bf16, Numbers{1.0, 0.00390625}),
               w = tensor_of(context, {1, 2}, DType::bf16, Numbers{1.0, 1.0});
  CHECK(values_of(LinearMap{}.forward(nullptr, x, w)) == Numbers{1.0});  // a tie, rounded to even
  CHECK(values_of(LinearMap{.rounding = Rounding::none}.forward(nullptr, x, w)) == Numbers{1.00390625});
}

TEST_CASE("linear: gradients of parameters in bf16 are f32, and other types are refused") {
  TestContext context;
  const auto zeros = [&](const Shape& shape, DType dtype) { return Tensor::zeros(context, shape, dtype); };
  const Tensor x = zeros({2, 3}, DType::bf16), w = zeros({4, 3}, DType::bf16),
               dy = zeros({2, 4}, DType::bf16);
  CHECK_NOTHROW(LinearMap{}.backward({x}, w, dy, {}, {zeros({4, 3}, DType::f32), 0.0}));
  CHECK_THROWS_WITH(LinearMap{}.backward({x}, w, dy, {}, {zeros({4, 3}, DType::f64), 0.0}),
                    Catch::Contains("bf16 times bf16 into f64"));
}
