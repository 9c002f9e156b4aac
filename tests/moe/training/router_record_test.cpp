// What the record of a step's routers says.
#include "moe/training/router_record.hpp"

#include <cmath>

#include "tests/support/catch.hpp"

using namespace granule;

TEST_CASE("router_record: load statistics say how far a load is from balanced") {
  const std::vector<std::int64_t> even{5, 5, 5, 5}, one{0, 0, 8, 0};
  CHECK(load_statistics(even).max_over_mean == 1.0);
  CHECK(load_statistics(even).cv == 0.0);
  CHECK(load_statistics(even).dead == 0);
  CHECK(load_statistics(one).max_over_mean == 4.0);
  CHECK(load_statistics(one).cv == Approx(std::sqrt(3.0)));  // deviations 6, 2, 2, 2 of a mean of 2
  CHECK(load_statistics(one).dead == 3);
}
