// What the record of a step's routers says.
#include "moe/training/router_record.hpp"

#include <cmath>

#include "moe/ops/score_entropy.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("load statistics say how far a load is from balanced") {
  const std::vector<std::int64_t> even{5, 5, 5, 5}, one{0, 0, 8, 0};
  CHECK(load_statistics(even).max_over_mean == 1.0);
  CHECK(load_statistics(even).cv == 0.0);
  CHECK(load_statistics(even).dead == 0);
  CHECK(load_statistics(one).max_over_mean == 4.0);
  CHECK(load_statistics(one).cv == Approx(std::sqrt(3.0)));  // deviations 6, 2, 2, 2 of a mean of 2
  CHECK(load_statistics(one).dead == 3);
}

TEST_CASE("the entropy of scores: log E where all are equal, 0 where one is all, padding not seen") {
  TestContext context;
  const double log4 = std::log(4.0);
  const Tensor scores =
      tensor_of(context, {3, 4}, DType::f64, Numbers{0.25, 0.25, 0.25, 0.25, 0, 1, 0, 0, 0.8, 0.8, 0.8, 0.8});
  // The last row sums to 3.2, as it may with a sigmoid. Its shares count.
  CHECK(values_of(score_entropy(scores, {}))[0] == Approx(2.0 * log4).epsilon(1e-14));
  CHECK(values_of(score_entropy(scores, ids_of(context, {3}, std::vector<std::int32_t>{1, 1, 0})))[0] ==
        Approx(log4).epsilon(1e-14));
}
