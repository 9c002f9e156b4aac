#include "moe/ops/count_choices.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Ids = std::vector<std::int32_t>;

TEST_CASE("count_choices: choices are counted by unit, without padding") {
  TestContext context;
  const Tensor ids = ids_of(context, {4, 2}, Ids{0, 1, 0, 2, 2, 1, 2, 0});
  CHECK(integers_of(count_choices(ids, 3, 1)) == std::vector<std::int64_t>{3, 2, 3});
  CHECK(integers_of(count_choices(ids, 3, 2)) == std::vector<std::int64_t>{2, 1, 1, 1, 1, 2});
  const Tensor valid = ids_of(context, {4}, Ids{1, 0, 1, 1});
  CHECK(integers_of(count_choices(ids, 3, 2, valid)) == std::vector<std::int64_t>{1, 1, 0, 1, 1, 2});
  CHECK(count_choices(ids_of(context, {0, 2}, {}), 3, 0).numel() == 0);
  CHECK_THROWS_AS(count_choices(ids, 3, 3), Error);
  CHECK_THROWS_AS(count_choices(ids, 3, 0), Error);
  CHECK_THROWS_AS(integers_of(count_choices(ids, 2, 1)), Error);
}
