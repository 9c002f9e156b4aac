#include "core/kernels/transpose.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

template <class T>
void check(std::int64_t rows, std::int64_t columns) {
  CAPTURE(rows, columns, sizeof(T));
  constexpr std::int64_t kExtra = 3;
  const std::int64_t pitch = columns + kExtra, count = rows * columns;
  std::vector<T> x;
  for (const double value : normal_values(rows * pitch, 1)) x.push_back(static_cast<T>(value));
  const T fence(7);
  std::vector<T> out(std::size_t(count + kExtra), fence);
  transpose(rows, columns, x.data(), pitch, out.data());
  std::int64_t wrong = 0;
  for (std::int64_t c = 0; c < columns; ++c)
    for (std::int64_t r = 0; r < rows; ++r)
      wrong += out[std::size_t(c * rows + r)] != x[std::size_t(r * pitch + c)];
  CHECK(wrong == 0);
  for (std::int64_t i = count; i < count + kExtra; ++i) CHECK(out[std::size_t(i)] == fence);
}

}  // namespace

TEST_CASE("transpose: whole vectors of rows, the rows after them, and any number of columns") {
  for (const std::int64_t rows : {1, 7, 8, 16, 17, 40, 64}) {
    for (const std::int64_t columns : {1, 3, 4, 32, 39}) {
      check<float>(rows, columns);
      check<double>(rows, columns);
    }
  }
}
