#include "core/kernels/gemm_bf16.hpp"

#include <cmath>
#include <vector>

#include "core/kernels/gemm_bf16_units.hpp"
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
  if (!has_bf16_units()) {
    WARN("this processor has no bf16 units");
    return;
  }
  for (const Transpose ta : {Transpose::no, Transpose::yes}) {
    for (const Transpose tb : {Transpose::no, Transpose::yes}) {
      for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1, 1, 1},
                                    {15, 33, 31},
                                    {29, 70, 64},
                                    {5, 16, 1027},
                                    {15, 33, 1024},
                                    {15, 33, 1023}}) {
        INFO(m << " x " << n << " x " << k << (ta == Transpose::yes ? " T" : " N")
               << (tb == Transpose::yes ? "T" : "N"));
        const std::vector<bf16> x = numbers(m * k, 1), y = numbers(k * n, 2);
        const MatrixIn<bf16> a{x.data(), ta == Transpose::yes ? m : k, ta},
            b{y.data(), tb == Transpose::yes ? k : n, tb};
        std::vector<float> units(static_cast<std::size_t>(m * n), NAN), widened = units;
        gemm_bf16_units<float>(m, n, k, a, b, {units.data(), n});
        gemm_bf16_widened<float>(m, n, k, a, b, {widened.data(), n});
        const std::vector<float> size = sizes(m, n, k, a, b);
        for (std::size_t i = 0; i < units.size(); ++i)
          CHECK(std::abs(units[i] - widened[i]) <= 6e-7F * size[i]);  // a few roundings of 6e-8
      }
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
