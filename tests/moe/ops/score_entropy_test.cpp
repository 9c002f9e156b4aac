#include "moe/ops/score_entropy.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("score_entropy: log E where all are equal, 0 where one is all, padding not seen") {
  TestContext context;
  const double log4 = std::log(4.0);
  const Tensor scores =
      tensor_of(context, {3, 4}, DType::f64, Numbers{0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0, 0.8, 0.8, 0.8, 0.8});
  // The last row sums to 3.2, as it may with a sigmoid. Its shares count.
  CHECK(values_of(score_entropy(scores, {}))[0] == Approx(2.0 * log4).epsilon(1e-14));
  CHECK(values_of(score_entropy(scores, ids_of(context, {3}, std::vector<std::int32_t>{1, 1, 0})))[0] ==
        Approx(log4).epsilon(1e-14));
}
