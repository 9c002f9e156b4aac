#include "moe/routing/forced_routing.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include "core/transfer.hpp"
#include "moe/experts/row_order.hpp"
#include "moe/ops/limit_capacity.hpp"
#include "moe/routing/selection.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/small_model.hpp"

using namespace granule;
using namespace granule::test;

namespace {

using Counts = std::vector<std::int64_t>;

MoeConfig experts(std::int64_t n, std::int64_t k, double capacity_factor = 0.0) {
  MoeConfig moe = small_moe_config();
  moe.n_routed_experts = n;
  moe.num_experts_per_tok = k;
  moe.capacity_factor = capacity_factor;
  return moe;
}

Counts sorted_rows(const MoeConfig& moe, std::int64_t tokens, const Choice& choice) {
  const std::int64_t capacity = moe.capacity_factor > 0.0 ? expert_capacity(moe, tokens) : tokens;
  const Tensor sent = within_capacity(choice.id_NK, {}, moe.n_routed_experts, capacity);
  const RowOrder order = sort_by_expert(sent, moe.n_routed_experts, Sent::some);
  const auto offset = order.offset_E1.get();
  Counts rows;
  for (std::size_t e = 0; e + 1 < offset.size(); ++e) rows.push_back(offset[e + 1] - offset[e]);
  return rows;
}

}  // namespace

TEST_CASE(
    "forced routing: a token chooses different experts, and the rows are those that the device counts") {
  TestContext context;
  for (const Routing routing : {Routing::even, Routing::worst}) {
    for (const double factor : {0.0, 0.5, 1.0, 1.3, 9.0}) {
      for (const auto& [tokens, n, k] : {std::array{24, 8, 3}, std::array{7, 5, 5}, std::array{1, 4, 2},
                                         std::array{50, 6, 1}, std::array{31, 16, 6}}) {
        INFO(name_of(routing) << ", factor " << factor << ", " << tokens << " tokens, " << k << " of " << n);
        const MoeConfig moe = experts(n, k, factor);
        const Choice choice = forced_choice(context, moe, tokens, routing);
        const HostCopy<std::int32_t> ids = read_back<std::int32_t>(choice.id_NK);
        for (std::int64_t t = 0; t < tokens; ++t) {
          const auto of_token =
              ids.get().subspan(static_cast<std::size_t>(t * k), static_cast<std::size_t>(k));
          CHECK(std::set(of_token.begin(), of_token.end()).size() == static_cast<std::size_t>(k));
        }
        CHECK(std::accumulate(choice.count_E.begin(), choice.count_E.end(), std::int64_t{0}) == tokens * k);
        CHECK(forced_rows(moe, tokens, routing) == sorted_rows(moe, tokens, choice));
      }
    }
  }
}

TEST_CASE("forced routing: even counts differ by one at most, and the worst fill the first experts") {
  CHECK(forced_rows(experts(8, 3), 24, Routing::even) == Counts(8, 9));
  CHECK(forced_rows(experts(4, 1), 6, Routing::even) == Counts{2, 2, 1, 1});
  CHECK(forced_rows(experts(8, 3), 24, Routing::worst) == Counts{24, 24, 24, 0, 0, 0, 0, 0});
  // A capacity of 12 spreads the worst load over more experts.
  CHECK(forced_rows(experts(8, 2, 2.0), 24, Routing::worst) == Counts{12, 12, 12, 12, 0, 0, 0, 0});
  // A capacity below an even share drops choices with any routing.
  CHECK(forced_rows(experts(8, 2, 0.5), 24, Routing::worst) == Counts(8, 3));
}

TEST_CASE("forced routing: a model computes with it what the choice says, and asks the device nothing") {
  const ModelConfig config = small_model_config();
  const MoeConfig moe = small_moe_config();
  for (const Routing routing : {Routing::natural, Routing::even, Routing::worst}) {
    TestContext context;
    Model model(context, config, moe, DType::f64, Gradients::yes, {}, routing);
    model.parameters().initialise(7, 0.2);
    RouterRecord record(context, model.moe_layers(), moe.n_routed_experts);
    record.begin_step();
    model.parameters().begin_step();
    const MicroBatch batch = small_batch(context, config, 0, 2);
    const StepTotals totals{2 * kSmallSeq, 2, 1};
    const std::int64_t before = context.profile().waits();
    train_micro_batch(model, batch, totals, Recompute::full, {.routing = &record});
    const std::int64_t waits = context.profile().waits() - before;
    if (routing == Routing::natural) {
      CHECK(waits == std::ssize(model.moe_layers()));
      continue;
    }
    CHECK(waits == 0);
    for (std::int64_t i = 0; i < record.layers(); ++i) {
      const auto counts = record.counts(i);
      CHECK(Counts(counts.begin(), counts.end()) == forced_rows(moe, 2 * kSmallSeq, routing));
    }
  }
}
