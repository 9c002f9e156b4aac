#include "core/kernels/weighted_rows.hpp"

#include <array>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

template <class T>
std::vector<T> numbers(std::int64_t count, std::uint64_t seed) {
  const Numbers values = normal_values(count, seed);
  std::vector<T> all;
  for (const double value : values) all.push_back(T(float(value)));
  return all;
}

/// A row of n elements, `offset` elements after an aligned address, with a fence after it.
template <class T>
class Row {
 public:
  Row(std::int64_t n, std::int64_t offset)
      : n_(n), offset_(offset), memory_(std::size_t(n + offset + 64), T(3.0F)) {}
  T* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    const std::uintptr_t up = (64 - address % 64) % 64 / sizeof(T);
    return memory_.data() + up + std::size_t(offset_);
  }
  double at(std::int64_t i) { return double(widened(data()[i])); }
  bool fence_intact() { return at(n_) == 3.0 && at(n_ + 1) == 3.0; }

 private:
  std::int64_t n_, offset_;
  std::vector<T> memory_;
};

template <class T>
void check_rows(double tolerance) {
  for (const std::int64_t n : {1, 7, 16, 48, 101}) {
    const std::vector<T> x = numbers<T>(4 * n, 1);
    const std::vector<Wide<T>> w = numbers<Wide<T>>(3, 2);
    const std::array<std::int32_t, 3> place{2, -1, 0};
    for (const std::int64_t offset : {0, 1}) {
      for (const double beta : {0.0, 1.0}) {
        CAPTURE(n, offset, beta, sizeof(T));
        Row<T> sum(n, offset), scaled(n, offset);
        sum_weighted_rows<T>({x.data(), n, place.data(), 3}, w.data(), n, beta, sum.data());
        scale_row<T>(x.data(), w[1], n, beta, scaled.data());
        finish_rows();
        for (std::int64_t i = 0; i < n; ++i) {
          const auto value = [&](std::int64_t row) { return double(widened(x[std::size_t(row * n + i)])); };
          const double expected = double(w[0]) * value(2) + double(w[2]) * value(0) + 3.0 * beta;
          CHECK(std::abs(sum.at(i) - expected) <= tolerance * (3.0 + std::abs(expected)));
          const double product = double(w[1]) * value(0) + 3.0 * beta;
          CHECK(std::abs(scaled.at(i) - product) <= tolerance * (3.0 + std::abs(product)));
        }
        CHECK(sum.fence_intact());
        CHECK(scaled.fence_intact());
      }
    }
  }
}

}  // namespace

TEST_CASE("weighted_rows: rows are scaled and summed as plain loops do, wherever the result lies") {
  // A few roundings each; one in bf16.
  check_rows<float>(4e-7);
  check_rows<double>(1e-15);
  check_rows<bf16>(4e-3);
}

TEST_CASE("weighted_rows: a row with weight 1 is copied bit for bit, and without weights rows are added") {
  const std::vector<float> x = numbers<float>(2 * 37, 1);
  Row<float> copy(37, 0), sum(37, 0);
  scale_row<float>(x.data(), 1.0F, 37, 0.0, copy.data());
  finish_rows();
  const std::array<std::int32_t, 2> place{0, 1};
  sum_weighted_rows<float>({x.data(), 37, place.data(), 2}, nullptr, 37, 0.0, sum.data());
  for (std::size_t i = 0; i < 37; ++i) {
    CHECK(copy.data()[i] == x[i]);
    CHECK(sum.data()[i] == x[i] + x[37 + i]);
  }
}
