#include "core/bf16.hpp"

#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"

using granule::bf16;
using granule::widened;

namespace {

float rounded(float value) {
  return widened(bf16(value));
}

}  // namespace

TEST_CASE("bf16: rounding is to nearest, and to even if two numbers are as near") {
  CHECK(rounded(1.0F) == 1.0F);
  CHECK(rounded(0x1.00FFFEp0F) == 1.0F);
  CHECK(rounded(0x1.01p0F) == 1.0F);  // half of the last bit: to even, down
  CHECK(rounded(0x1.010002p0F) == 0x1.02p0F);
  CHECK(rounded(0x1.03p0F) == 0x1.04p0F);  // half again: to even, up
  CHECK(rounded(-0x1.03p0F) == -0x1.04p0F);
  CHECK(rounded(0x1p-133F) == 0x1p-133F);  // its least number
  CHECK(rounded(std::numeric_limits<float>::max()) == INFINITY);
  CHECK(rounded(-INFINITY) == -INFINITY);
  CHECK(std::signbit(rounded(-0.0F)));
  CHECK(std::isnan(rounded(NAN)));
  CHECK(std::isnan(rounded(std::bit_cast<float>(0x7F800001U))));  // cut off, it would be infinity
}

TEST_CASE("bf16: every pattern keeps its value when it is widened and rounded") {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    bf16 value{};
    value.bits = static_cast<std::uint16_t>(bits);
    if (std::isnan(widened(value))) continue;
    if (bf16(widened(value)).bits != value.bits) FAIL("pattern " << bits);
  }
}
