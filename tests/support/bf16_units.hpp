// The bf16 units of this processor, for tests of products by them.
#pragma once
#include "core/kernels/bf16_support.hpp"
#include "tests/support/catch.hpp"

namespace granule::test {

/// Whether this processor has them. If it has not, the test warns that it checks nothing.
[[nodiscard]] inline bool has_units_or_warns(Bf16Units units) {
  if (has_bf16_units(units)) return true;
  WARN("this processor has no bf16 " << (units == Bf16Units::tiles ? "tiles" : "vectors"));
  return false;
}

}  // namespace granule::test
