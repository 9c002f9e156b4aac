#include "core/kernels/dot_rows.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

template <class T>
std::vector<T> numbers(std::int64_t count, std::uint64_t seed) {
  std::vector<T> rounded;
  for (const double value : normal_values(count, seed))
    rounded.push_back(static_cast<T>(static_cast<Wide<T>>(value)));
  return rounded;
}

/// Σ a_i b_i in float64, and the sum of the terms' sizes.
template <class T>
std::pair<double, double> plain_dot(const T* a, const T* b, std::int64_t n) {
  double sum = 0.0, size = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double term = double(widened(a[i])) * double(widened(b[i]));
    sum += term;
    size += std::abs(term);
  }
  return {sum, size};
}

template <class T, class Out = T>
void check(std::int64_t n) {
  INFO(n << " elements of " << sizeof(T) << " bytes into those of " << sizeof(Out));
  constexpr std::int64_t kRows = 3, kExtra = 5;
  const std::int64_t pitch = n + kExtra;
  const std::vector<T> w = numbers<T>(kRows * pitch, 1), x = numbers<T>(n, 2);
  const std::vector<Out> before = numbers<Out>(kRows, 3);
  // Sixteen sums or more run side by side, so few roundings follow each other. bf16 is summed in float32.
  const double tolerance = sizeof(Wide<T>) == 4 ? 3e-7 : 6e-16;
  std::vector<Out> y(kRows, Out(NAN)), added = before;
  dot_rows(kRows, n, w.data(), pitch, x.data(), y.data(), 0.0);
  dot_rows(kRows, n, w.data(), pitch, x.data(), added.data(), 1.0);
  for (std::size_t row = 0; row < kRows; ++row) {
    const T* const values = w.data() + std::int64_t(row) * pitch;
    const auto [sum, size] = plain_dot(values, x.data(), n);
    const Wide<T> found = dot(values, x.data(), n);
    CHECK(std::abs(double(found) - sum) <= tolerance * size);
    CHECK(widened(y[row]) == widened(Out(found)));
    CHECK(widened(added[row]) == widened(Out(widened(before[row]) + found)));
  }
}

}  // namespace

TEST_CASE("dot_rows equals plain sums and dot, at any length and pitch") {
  for (std::int64_t n = 0; n <= 150; ++n) {
    check<float>(n);
    check<double>(n);
    check<bf16>(n);
    check<bf16, float>(n);
  }
}
