#include "apps/sweep/cells/solver.hpp"

#include <cmath>
#include <random>

#include "core/error.hpp"
#include "moe/model/counts.hpp"
#include "tests/support/catch.hpp"

using Catch::Contains;
using granule::Budget;
using granule::RunConfig;
using granule::Solution;

namespace {

RunConfig some_config(std::mt19937& random) {
  const auto one_of = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  RunConfig config;
  config.model.vocab_size = 100 * one_of(1, 20);
  config.model.hidden_size = 8 * one_of(1, 12);
  config.model.num_hidden_layers = one_of(1, 4);
  config.model.num_attention_heads = 2;
  config.model.num_key_value_heads = 2;
  config.model.intermediate_size = one_of(1, 300);
  config.moe.first_k_dense_replace = config.model.num_hidden_layers > 1 ? 1 : 0;
  config.moe.n_routed_experts = one_of(2, 40);
  config.moe.num_experts_per_tok = one_of(1, 2);
  config.moe.n_shared_experts = one_of(0, 2);
  config.moe.moe_intermediate_size = one_of(1, 100);
  config.data.seq_len = 32;
  config.train.batch_size = 4;
  return config;
}

void set_width(RunConfig& config, std::string_view key, std::int64_t width) {
  if (key == "model.hidden_size") config.model.hidden_size = width;
  if (key == "model.intermediate_size") config.model.intermediate_size = width;
  if (key == "moe.moe_intermediate_size") config.moe.moe_intermediate_size = width;
}

/// The possible width with the least distance, of all up to `most`.
Solution by_brute_force(const granule::WidthQuestion& question, RunConfig config,
                        const granule::WidthIsPossible& possible, std::int64_t most) {
  Solution best;
  for (std::int64_t width = 1; width <= most; ++width) {
    if (!possible(width)) continue;
    set_width(config, question.key, width);
    const double amount = amount_of(question.budget, config, question.steps);
    const double residual = amount / question.target - 1.0;
    if (best.width == 0 || std::abs(residual) < std::abs(best.residual)) best = {width, amount, residual};
  }
  return best;
}

}  // namespace

TEST_CASE("solver: the width is the one that a search through all widths finds") {
  std::mt19937 random(7);
  const auto any = [](std::int64_t) { return true; };
  const auto of_heads = [](std::int64_t width) { return width % 4 == 0; };
  for (int i = 0; i < 60; ++i) {
    const RunConfig config = some_config(random);
    for (const Budget budget : {Budget::activated_params, Budget::total_params, Budget::flops}) {
      for (const char* const key : {"moe.moe_intermediate_size", "model.hidden_size"}) {
        RunConfig target = config;
        set_width(target, key, std::uniform_int_distribution<std::int64_t>(1, 400)(random));
        const double share = std::uniform_real_distribution<double>(0.9, 1.1)(random);
        const granule::WidthQuestion question{budget, share * amount_of(budget, target, 10), key, 10};
        const auto& possible = key == std::string("model.hidden_size") ? of_heads : any;
        constexpr std::int64_t kMost = 1000;
        const Solution expected = by_brute_force(question, config, possible, kMost);
        const Solution found = solve_width(question, config, possible, "test");
        INFO(key << " " << name_of(budget) << " case " << i);
        REQUIRE(expected.width < kMost);
        CHECK(std::abs(found.residual) == std::abs(expected.residual));
        CHECK(possible(found.width));
      }
    }
  }
}

TEST_CASE("solver: a width that the model does not have is refused") {
  RunConfig dense;
  dense.model.vocab_size = 100;
  dense.model.hidden_size = 8;
  dense.model.num_hidden_layers = 2;
  dense.model.num_attention_heads = dense.model.num_key_value_heads = 2;
  dense.model.intermediate_size = 16;
  const auto any = [](std::int64_t) { return true; };
  CHECK_THROWS_WITH(solve_width({Budget::total_params, 1e4, "moe.moe_intermediate_size", 1}, dense, any,
                                "sweep.toml, Dense"),
                    Contains("does not change total_params") && Contains("sweep.toml, Dense"));
  CHECK_THROWS_WITH(solve_width(
                        {Budget::total_params, 1e4, "model.intermediate_size", 1}, dense,
                        [](std::int64_t) { return false; }, "sweep.toml"),
                    Contains("is possible"));
}
