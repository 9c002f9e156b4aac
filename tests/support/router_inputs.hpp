// Inputs of a router's operators, for tests of one operator.
#pragma once
#include <cmath>

#include "tests/support/op_case.hpp"

namespace granule::test {

using Ids = std::vector<std::int32_t>;

/// Scores are probabilities. They are positive, so a sum of a few does not cancel.
inline Numbers probabilities(std::int64_t n, std::uint64_t seed) {
  Numbers values = normal_values(n, seed);
  for (double& value : values) value = 0.05 + 0.9 / (1.0 + std::exp(-value));
  return values;
}

/// Which tokens are not padding. Empty means all.
inline auto plain_valid(const Ids& valid) {
  return plain([=](Context& context, DType) {
    return valid.empty() ? Tensor{} : ids_of(context, {std::ssize(valid)}, valid);
  });
}

}  // namespace granule::test
