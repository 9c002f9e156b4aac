#include "core/kernels/dot_rows.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

template <class T>
std::vector<T> numbers(std::int64_t count, std::uint64_t seed) {
  const Numbers values = normal_values(count, seed);
  return {values.begin(), values.end()};
}

/// Σ a_i b_i in float64, and the sum of the terms' sizes.
template <class T>
std::pair<double, double> plain_dot(const T* a, const T* b, std::int64_t n) {
  double sum = 0.0, size = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    sum += double(a[i]) * double(b[i]);
    size += std::abs(double(a[i]) * double(b[i]));
  }
  return {sum, size};
}

template <class T>
void check(std::int64_t n) {
  INFO(n << " elements of " << sizeof(T) << " bytes");
  constexpr std::int64_t kRows = 3, kExtra = 5;
  const std::int64_t pitch = n + kExtra;
  const std::vector<T> w = numbers<T>(kRows * pitch, 1), x = numbers<T>(n, 2), before = numbers<T>(kRows, 3);
  // Sixteen sums or more run side by side, so few roundings follow each other.
  const double tolerance = sizeof(T) == 4 ? 3e-7 : 6e-16;
  std::vector<T> y(kRows, T(NAN)), added = before;
  dot_rows(kRows, n, w.data(), pitch, x.data(), y.data(), 0.0);
  dot_rows(kRows, n, w.data(), pitch, x.data(), added.data(), 1.0);
  for (std::size_t row = 0; row < kRows; ++row) {
    const T* const values = w.data() + std::int64_t(row) * pitch;
    const auto [sum, size] = plain_dot(values, x.data(), n);
    CHECK(std::abs(double(y[row]) - sum) <= tolerance * size);
    CHECK(y[row] == dot(values, x.data(), n));
    CHECK(added[row] == before[row] + y[row]);
  }
}

}  // namespace

TEST_CASE("dot_rows equals plain sums and dot, at any length and pitch") {
  for (std::int64_t n = 0; n <= 150; ++n) {
    check<float>(n);
    check<double>(n);
  }
}
