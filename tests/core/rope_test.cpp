#include "core/ops/rope.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

namespace {

struct Layout {
  std::int64_t heads, head_dim, columns;  // of the whole row, including the values
  double theta;
  std::vector<std::int32_t> positions;
  double stretch = 1.0;
};

/// Each pair as a complex number times e^(i angle).
Numbers rotated(const Layout& layout, Numbers x) {
  const auto W = static_cast<std::size_t>(layout.columns), C = static_cast<std::size_t>(layout.head_dim);
  for (std::size_t row = 0; row < layout.positions.size(); ++row) {
    for (std::size_t head = 0; head < static_cast<std::size_t>(layout.heads); ++head) {
      for (std::size_t i = 0; i < C / 2; ++i) {
        double& real = x[row * W + head * C + i];
        double& imaginary = x[row * W + head * C + i + C / 2];
        const double angle =
            layout.positions[row] / layout.stretch / std::pow(layout.theta, 2.0 * double(i) / double(C));
        const double turned = real * std::cos(angle) - imaginary * std::sin(angle);
        imaginary = real * std::sin(angle) + imaginary * std::cos(angle);
        real = turned;
      }
    }
  }
  return x;
}

void check_rope(const Layout& layout) {
  const auto N = static_cast<std::int64_t>(layout.positions.size());
  const auto op = [&](Context& context, DType dtype) {
    return Rope{layout.heads,
                {context, wide_of(dtype), layout.head_dim, layout.theta, 300, layout.stretch},
                ids_of(context, {N}, layout.positions)};
  };
  check_hand_over(
      {.name = fmt::format("rope {} x {} of {}, {} rows", layout.heads, layout.head_dim, layout.columns, N),
       .bf16 = true},
      op, [&](const std::vector<Numbers>& in) { return rotated(layout, in[0]); },
      variable({N, layout.columns}));
}

}  // namespace

TEST_CASE("rope keeps an operator's promises, with value columns and positions in any order") {
  check_rope({2, 4, 12, 10000.0, {0, 1, 2, 7, 299}});
  check_rope({1, 2, 2, 10000.0, {5}});
  check_rope({3, 6, 18, 100.0, {}});
  check_rope({0, 6, 5, 100.0, {1, 2}});
  check_rope({3, 70, 280, 10000.0, std::vector<std::int32_t>(40, 17)});
  check_rope({2, 6, 14, 10000.0, {0, 1, 7, 250}, 2.5});
}

TEST_CASE("rope at position 0 changes nothing, and scores depend on distances only") {
  test::TestContext context;
  const RopeTable table(context, DType::f64, 8, 10000.0, 64);
  const Numbers q = normal_values(8, 1), k = normal_values(8, 2);
  const auto at = [&](const Numbers& x, std::int32_t position) {
    const Rope op{1, table, ids_of(context, {1}, std::vector{position})};
    return values_of(op.forward(tensor_of(context, {1, 8}, DType::f64, x)));
  };
  const auto score = [&](std::int32_t i, std::int32_t j) {
    const Numbers a = at(q, i), b = at(k, j);
    double sum = 0.0;
    for (std::size_t c = 0; c < 8; ++c) sum += a[c] * b[c];
    return sum;
  };
  CHECK(at(q, 0) == q);
  CHECK(std::abs(score(9, 4) - score(63, 58)) < 1e-13);
  CHECK(std::abs(score(9, 4) - score(9, 5)) > 1e-3);
}

TEST_CASE("rope turns in place what nobody else has, to the same bits, and otherwise leaves it as it is") {
  test::TestContext context;
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const RopeTable table(context, wide_of(dtype), 144, 100.0, 9);
    const Rope op{2, table, ids_of(context, {3}, std::vector<std::int32_t>{1, 8, 3})};
    const Numbers numbers = normal_values(3 * 304, 5);
    const Tensor kept = tensor_of(context, {3, 304}, dtype, numbers);
    const Tensor copied = op.forward(kept), back = op.backward(kept);
    CHECK(values_of(kept) == values_of(tensor_of(context, {3, 304}, dtype, numbers)));
    Tensor alone = tensor_of(context, {3, 304}, dtype, numbers);
    const std::byte* const place = alone.raw();
    alone = op.forward(std::move(alone));
    CHECK(alone.raw() == place);
    CHECK(same_bits(alone, copied));
    alone = op.backward(tensor_of(context, {3, 304}, dtype, numbers));
    CHECK(same_bits(alone, back));
  }
}

TEST_CASE("rope: a stretched rope table has the angles of positions in between") {
  test::TestContext context;
  const RopeTable plain(context, DType::f64, 6, 10000.0, 8),
      stretched(context, DType::f64, 6, 10000.0, 29, 4.0);
  const auto cos = values_of(plain.cos_PH), wide = values_of(stretched.cos_PH);
  for (std::size_t p = 0; p < 8; ++p) {
    for (std::size_t i = 0; i < 3; ++i) CHECK(wide[4 * p * 3 + i] == cos[p * 3 + i]);
  }
  // By hand: position 2 counts as 1/2, and pair 1 of 3 turns by 10000^(-1/3) times that.
  CHECK(values_of(stretched.sin_PH)[2 * 3 + 1] == Approx(std::sin(0.5 / 21.544346900318832)).epsilon(1e-15));
}

TEST_CASE("rope refuses odd heads, positions behind the table and heads that are not there") {
  test::TestContext context;
  CHECK_THROWS_WITH(RopeTable(context, DType::f32, 7, 1e4, 4), Catch::Contains("a head of 7 columns"));
  const RopeTable table(context, DType::f32, 4, 1e4, 10);
  const Tensor x = Tensor::zeros(context, {1, 8}, DType::f32);
  const auto position = [&](std::int32_t p) { return ids_of(context, {1}, std::vector{p}); };
  const Rope behind{2, table, position(10)}, wide{3, table, position(1)};
  CHECK_THROWS_WITH(values_of(behind.forward(x)),
                    Catch::Contains("rope: position 10 of row 0, the table has 10"));
  CHECK_THROWS_WITH(wide.forward(x), Catch::Contains("rope: 3 heads of 4 columns in x [1, 8]"));
}

TEST_CASE("rope: a rope table is memory of the run") {
  test::TestContext context;
  const RopeTable table(context, DType::f32, 4, 1e4, 10);
  CHECK(context.memory().current(MemoryCategory::weights) == 2 * 10 * 2 * 4);
  CHECK(context.step_memory().in_use() == 0);
}
