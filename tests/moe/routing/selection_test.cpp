#include "moe/routing/selection.hpp"

#include "tests/support/catch.hpp"

using namespace granule;

TEST_CASE("selection: an expert's capacity is rounded up") {
  MoeConfig moe;
  moe.n_routed_experts = 8;
  moe.num_experts_per_tok = 2;
  moe.capacity_factor = 1.0;
  CHECK(expert_capacity(moe, 16) == 4);
  CHECK(expert_capacity(moe, 17) == 5);
  moe.capacity_factor = 1.25;
  CHECK(expert_capacity(moe, 16) == 5);
  moe.capacity_factor = 0.01;
  CHECK(expert_capacity(moe, 16) == 1);
}

// 1.1 · 3 · 60 / 6 is 33, although the nearest double of 1.1 makes it 33.000000000000004.
TEST_CASE("selection: an expert's capacity is that of the factor as it was written") {
  MoeConfig moe;
  moe.n_routed_experts = 6;
  moe.num_experts_per_tok = 3;
  moe.capacity_factor = 1.1;
  CHECK(expert_capacity(moe, 60) == 33);
  CHECK(expert_capacity(moe, 61) == 34);
  moe.capacity_factor = 0.1;
  CHECK(expert_capacity(moe, 20) == 1);
  moe.capacity_factor = 1e-6;
  CHECK(expert_capacity(moe, 60) == 1);
}
