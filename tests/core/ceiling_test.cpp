// The ceiling counts operations that were really done. Its rates are not tested here. `granule bench ceiling`
// compares them with the clock, and scripts/check-ceiling with another program.
#include "core/kernels/ceiling.hpp"

#include <vector>

#include "tests/support/bf16_units.hpp"
#include "tests/support/catch.hpp"

namespace granule {
namespace {

/// Start values that differ in every lane. With factor 1/2 and few rounds, all arithmetic is exact, with and
/// without fused multiply-adds.
template <class T>
std::vector<T> starts(std::int64_t n) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<T>(16 * (i + 1)));
  return values;
}

template <class T>
std::vector<T> plain_loops(std::vector<T> values, std::int64_t rounds) {
  for (T& value : values)
    for (std::int64_t r = 0; r < rounds; ++r) value = value * T(0.5) + T(1);
  return values;
}

}  // namespace

TEMPLATE_TEST_CASE("ceiling: every lane of every chain is computed, and each counts two operations a round",
                   "", float, double) {
  const std::int64_t lanes = vector_lanes(dtype_of<TestType>);
  for (const std::int64_t chains : kFmaChains) {
    for (const std::int64_t rounds : {0, 1, 4}) {
      std::vector<TestType> values = starts<TestType>(chains * lanes);
      const double operations =
          multiply_add_chains(rounds, chains, TestType(0.5), TestType(1), std::span<TestType>(values));
      CHECK(values == plain_loops(starts<TestType>(chains * lanes), rounds));
      CHECK(operations == static_cast<double>(2 * rounds * chains * lanes));
    }
  }
}

TEST_CASE("ceiling: every sum of every chain of the bf16 units is computed, and its products are counted") {
  const Bf16Units units = GENERATE(Bf16Units::vectors, Bf16Units::tiles);
  if (!test::has_units_or_warns(units)) return;
  // A sum of 16 lanes gets two products, and one of a tile of 16 × 16 gets 32.
  const std::int64_t sums = units == Bf16Units::tiles ? 256 : 16,
                     products = units == Bf16Units::tiles ? 32 : 2;
  for (const std::int64_t chains : kFmaChains) {
    std::vector<float> values = starts<float>(chains * sums), expected = values;
    for (float& value : expected) value += static_cast<float>(5 * products) * 0.5F * 3.0F;
    const double operations = bf16_chains(units, 5, chains, bf16(0.5F), bf16(3.0F), values);
    CHECK(values == expected);
    CHECK(operations == static_cast<double>(2 * 5 * products * std::ssize(values)));
  }
}

}  // namespace granule
