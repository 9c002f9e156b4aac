#include "moe/ops/normalise_rows.hpp"

#include <numeric>

#include "tests/support/catch.hpp"
#include "tests/support/router_inputs.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("normalise_rows: it keeps an operator's promises") {
  const auto shares = [](std::int64_t n, std::int64_t e, const Numbers& s) {
    Numbers p;
    for (std::int64_t i = 0; i < n; ++i) {
      const double sum = std::accumulate(s.begin() + i * e, s.begin() + (i + 1) * e, 0.0);
      for (std::int64_t j = 0; j < e; ++j) p.push_back(s[std::size_t(i * e + j)] / sum);
    }
    return p;
  };
  for (const auto& [n, e] : std::vector<std::pair<std::int64_t, std::int64_t>>{{3, 5}, {1, 1}, {0, 4}}) {
    const auto name = fmt::format("{} x {}", n, e);
    check_op(
        {"normalise_rows " + name}, NormaliseRows{},
        [&, n = n, e = e](const std::vector<Numbers>& in) { return shares(n, e, in[0]); },
        variable({n, e}, probabilities(n * e, 8)));
  }
}
