#include "data/models/finite.hpp"

#include <cmath>
#include <vector>

#include "tests/support/catch.hpp"

using namespace granule;

namespace {

/// `count` times `good`, with `bad` at `place`.
template <class Bits>
std::optional<std::int64_t> found(DType dtype, std::size_t count, Bits good, std::size_t place, Bits bad) {
  std::vector<Bits> values(count, good);
  if (place < count) values[place] = bad;
  return first_not_finite(dtype, std::as_bytes(std::span(values)));
}

}  // namespace

TEST_CASE("finite: the first NaN or infinity is found at any place, in every floating-point type") {
  constexpr std::size_t kCount = 2500;  // more than two blocks of 1024
  for (const std::size_t place : {0, 1, 1023, 1024, 2047, 2048, 2499}) {
    CAPTURE(place);
    const auto expected = static_cast<std::int64_t>(place);
    CHECK(found(DType::f32, kCount, 1.5F, place, NAN) == expected);
    CHECK(found(DType::f32, kCount, 3.4e38F, place, -INFINITY) == expected);
    CHECK(found(DType::f64, kCount, 1.7e308, place, double(INFINITY)) == expected);
    CHECK(found<std::uint16_t>(DType::bf16, kCount, 0x7F7F, place, 0xFF80) == expected);  // largest, −∞
    CHECK(found<std::uint16_t>(DType::f16, kCount, 0x7BFF, place, 0x7C01) == expected);   // largest, NaN
  }
  CHECK(found(DType::f32, kCount, 1.5F, kCount, NAN) == std::nullopt);
  CHECK(found<std::uint16_t>(DType::bf16, kCount, 0x7C01, kCount, 0) == std::nullopt);  // NaN only as f16
  CHECK(found<std::uint16_t>(DType::f16, kCount, 0x7BFF, kCount, 0) == std::nullopt);
  CHECK(found<std::int32_t>(DType::i32, kCount, -1, kCount, 0) == std::nullopt);
  CHECK(first_not_finite(DType::f32, {}) == std::nullopt);
}
