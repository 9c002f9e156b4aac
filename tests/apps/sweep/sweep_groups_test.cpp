#include "apps/sweep/running/sweep_groups.hpp"

#include "tests/support/catch.hpp"

using Shares = std::vector<std::vector<std::size_t>>;

namespace {

granule::SweepPlan plan_of(const std::vector<double>& seconds) {
  granule::SweepPlan plan;
  plan.cells.all.resize(seconds.size());
  plan.found.resize(seconds.size());
  plan.seconds = seconds;
  return plan;
}

}  // namespace

TEST_CASE("sweep_groups: the longest cell goes to the group with the least to do") {
  CHECK(granule::shares_of(plan_of({1, 5, 3, 2}), 2) == Shares{{1, 0}, {2, 3}});
  CHECK(granule::shares_of(plan_of({1, 1, 1}), 1) == Shares{{0, 1, 2}});
  CHECK(granule::shares_of(plan_of({2}), 3) == Shares{{0}, {}, {}});
}

TEST_CASE("sweep_groups: a complete cell is left out") {
  granule::SweepPlan plan = plan_of({4, 0, 3});
  plan.found[1].state = granule::CellState::complete;
  CHECK(granule::shares_of(plan, 2) == Shares{{0}, {2}});
}
