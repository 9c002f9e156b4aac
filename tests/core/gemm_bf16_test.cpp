#include "core/kernels/gemm_bf16.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/kernels/gemm_bf16_units.hpp"
#include "core/kernels/packed_bf16.hpp"
#include "tests/support/bf16_units.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

std::vector<bf16> numbers(std::int64_t count, std::uint64_t seed) {
  std::vector<bf16> result;
  for (const double value : normal_values(count, seed)) result.emplace_back(static_cast<float>(value));
  return result;
}

/// Σ |a_ip b_pj| of each element, to which roundings are relative.
std::vector<float> sizes(std::int64_t m, std::int64_t n, std::int64_t k, MatrixIn<bf16> a, MatrixIn<bf16> b) {
  std::vector<float> result(static_cast<std::size_t>(m * n), 0.0F);
  const auto at = [](const MatrixIn<bf16>& x, std::int64_t i, std::int64_t j) {
    return std::abs(widened(x.data[x.transpose == Transpose::yes ? j * x.pitch + i : i * x.pitch + j]));
  };
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t p = 0; p < k; ++p)
        result[static_cast<std::size_t>(i * n + j)] += at(a, i, p) * at(b, p, j);
  return result;
}

}  // namespace

TEST_CASE("gemm_bf16: the bf16 units give the product of the widened matrices, up to the order of its sums") {
  const Bf16Units units = GENERATE(Bf16Units::vectors, Bf16Units::tiles);
  if (!has_units_or_warns(units)) return;
  for (const Transpose ta : {Transpose::no, Transpose::yes}) {
    for (const Transpose tb : {Transpose::no, Transpose::yes}) {
      for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1, 1, 1},
                                    {15, 33, 31},
                                    {29, 70, 64},
                                    {49, 40, 97},
                                    {5, 16, 1027},
                                    {15, 33, 1024},
                                    {15, 33, 1023}}) {
        INFO(m << " x " << n << " x " << k << (ta == Transpose::yes ? " T" : " N")
               << (tb == Transpose::yes ? "T" : "N"));
        const std::vector<bf16> x = numbers(m * k, 1), y = numbers(k * n, 2);
        const MatrixIn<bf16> a{x.data(), ta == Transpose::yes ? m : k, ta},
            b{y.data(), tb == Transpose::yes ? k : n, tb};
        std::vector<float> found(static_cast<std::size_t>(m * n), NAN), widened = found;
        gemm_bf16_units<float>(units, m, n, k, a, b, {found.data(), n});
        gemm_bf16_widened<float>(m, n, k, a, b, {widened.data(), n});
        const std::vector<float> size = sizes(m, n, k, a, b);
        for (std::size_t i = 0; i < found.size(); ++i)
          CHECK(std::abs(found[i] - widened[i]) <= 6e-7F * size[i]);  // a few roundings of 6e-8
      }
    }
  }
}

TEST_CASE("gemm_bf16: a row of the product by bf16 units has the same bits for every number of rows") {
  const Bf16Units units = GENERATE(Bf16Units::vectors, Bf16Units::tiles);
  if (!has_units_or_warns(units)) return;
  constexpr std::int64_t kRows = 70, kColumns = 40, kTerms = 600;
  const std::vector<bf16> x = numbers(kRows * kTerms, 1), y = numbers(kTerms * kColumns, 2);
  const MatrixIn<bf16> b{y.data(), kColumns};
  for (const Transpose transpose : {Transpose::no, Transpose::yes}) {
    const std::int64_t pitch = transpose == Transpose::yes ? kRows : kTerms;
    std::vector<float> all(kRows * kColumns);
    gemm_bf16_units<float>(units, kRows, kColumns, kTerms, {x.data(), pitch, transpose}, b,
                           {all.data(), kColumns});
    for (const std::int64_t rows : {1, 13, 16, 17, 32, 33}) {
      const std::int64_t first = kRows - rows;
      std::vector<float> some(static_cast<std::size_t>(rows * kColumns));
      gemm_bf16_units<float>(units, rows, kColumns, kTerms,
                             {x.data() + first * (transpose == Transpose::yes ? 1 : pitch), pitch, transpose},
                             b, {some.data(), kColumns});
      CHECK(std::equal(some.begin(), some.end(), all.begin() + first * kColumns));
    }
  }
}

TEST_CASE("gemm_bf16: parts of a matrix that is packed once give the product by bf16 units") {
  const Bf16Units units = GENERATE(Bf16Units::vectors, Bf16Units::tiles);
  if (!has_units_or_warns(units)) return;
  constexpr std::int64_t kRows = 35, kColumns = 70, kTerms = 600;
  const std::vector<bf16> x = numbers(kRows * kTerms, 1), y = numbers(kTerms * kColumns, 2);
  std::vector<bf16> packed(static_cast<std::size_t>(packed_bf16_size(kColumns, kTerms)));
  pack_bf16(kColumns, kTerms, {y.data(), kTerms, Transpose::yes}, packed.data());
  for (const std::int64_t term : {0, 64}) {
    for (const std::int64_t column : {0, 32}) {
      // Within 512 terms, both sum all terms in one order.
      const std::int64_t columns = kColumns - column, terms = 500;
      const MatrixIn<bf16> a{x.data() + term, kTerms},
          b{y.data() + column * kTerms + term, kTerms, Transpose::yes};
      std::vector<float> expected(static_cast<std::size_t>(kRows * columns)), found = expected;
      gemm_bf16_units<float>(units, kRows, columns, terms, a, b, {expected.data(), columns});
      packed_gemm_bf16(units, kRows, a, packed.data(), kTerms, {term, term + terms}, {column, kColumns},
                       {found.data(), columns});
      CHECK(found == expected);
    }
  }
}

TEST_CASE("gemm_bf16: without bf16 units the sum is that of float and is rounded once") {
  // 1 + 3 · 2^-9 lies between two numbers of bf16, and rounding after each term would lose every term.
  const std::vector<bf16> a(4, bf16(1.0F)), b{bf16(1.0F), bf16(0x1p-9F), bf16(0x1p-9F), bf16(0x1p-9F)};
  bf16 rounded{};
  gemm_bf16_widened<bf16>(1, 1, 4, {a.data(), 4}, {b.data(), 1}, {&rounded, 1});
  CHECK(widened(rounded) == 1.0078125F);
  gemm_bf16_widened<bf16>(1, 1, 4, {a.data(), 4}, {b.data(), 1}, {&rounded, 1, 1.0});
  CHECK(widened(rounded) == 2.015625F);
}
