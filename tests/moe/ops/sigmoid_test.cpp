#include "moe/ops/sigmoid.hpp"

#include <cmath>

#include "tests/support/catch.hpp"
#include "tests/support/op_case.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("sigmoid: it keeps an operator's promises") {
  for (const auto& [n, e] : std::vector<std::pair<std::int64_t, std::int64_t>>{{3, 5}, {1, 1}, {0, 4}}) {
    const auto name = fmt::format("{} x {}", n, e);
    check_op(
        {"sigmoid " + name}, Sigmoid{},
        [](const std::vector<Numbers>& in) {
          Numbers y;
          for (const double x : in[0]) y.push_back(1.0 / (1.0 + std::exp(-x)));
          return y;
        },
        variable({n, e}, 3.0));
  }
}
