#include "moe/ops/limit_capacity.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;
using Integers = std::vector<std::int64_t>;

TEST_CASE(
    "limit_capacity: an expert over its capacity, worked by hand: the least affine tokens go, then the later "
    "ones") {
  TestContext context;
  // Four tokens, top-2 of 3. All tokens want expert 0, with affinities 0.5 0.7 0.5 0.2, and it takes two.
  // These are token 1 and then token 0, the earlier of the equal ones. Experts 1 and 2 have room.
  const Tensor ids = ids_of(context, {4, 2}, Ids{0, 1, 0, 2, 2, 0, 0, 1});
  const Tensor affinity = tensor_of(context, {4, 3}, DType::f64,
                                    Numbers{0.5, 0.3, 0.2, 0.7, 0.1, 0.2, 0.5, 0.0, 0.5, 0.2, 0.6, 0.2});
  CHECK(integers_of(within_capacity(ids, affinity, 3, 2)) == Integers{0, 1, 0, 2, 2, -1, -1, 1});
  CHECK(integers_of(within_capacity(ids, {}, 3, 2)) == Integers{0, 1, 0, 2, 2, -1, -1, 1});
  CHECK(integers_of(within_capacity(ids, affinity, 3, 4)) == integers_of(ids));
  // NaN is the lowest affinity.
  const Tensor broken =
      tensor_of(context, {4, 3}, DType::f64,
                Numbers{std::nan(""), 0.3, 0.2, 0.7, 0.1, 0.2, std::nan(""), 0.0, 0.5, 0.2, 0.6, 0.2});
  CHECK(integers_of(within_capacity(ids, broken, 3, 2)) == Integers{-1, 1, 0, 2, 2, -1, 0, 1});
  // Padding takes no place. Without token 1, the first two of the others are taken.
  const Tensor valid = ids_of(context, {4}, Ids{1, 0, 1, 1});
  CHECK(integers_of(within_capacity(ids, affinity, 3, 2, valid)) == Integers{0, 1, -1, -1, 2, 0, -1, 1});
}
