// Ranks hold copies of the same parameters. If one bit in one copy flips, it is found, whichever rank has it.
#include <bit>
#include <map>

#include "distributed/communicators/self_communicator.hpp"
#include "moe/training/sharded_model.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_run.hpp"
#include "tests/support/small_model.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

/// The error on 4 ranks if one bit of this tensor is flipped on one of them. Empty if there is no error.
std::string with_flipped_bit(int who, const std::string& name) {
  try {
    run_ranks(4, [&](Communicator& ranks, Context& context) {
      const ShardedCase of = sharded_case();
      ShardedModel sharded(context, ranks, of.model, of.moe, DType::f64, {.ep = 2, .zero = 1});
      sharded.parameters().initialise(1, 0.1);
      sharded.parameters().require_equal_replicas();
      const ParameterStore& store = sharded.parameters().store();
      if (ranks.rank() == who && store.has(name)) {
        const Tensor value = store.value_of(store.find(name));
        Numbers values = values_of(value);
        values[3] = std::bit_cast<double>(std::bit_cast<std::uint64_t>(values[3]) ^ 1U);
        write_values(values, value);
      }
      sharded.parameters().require_equal_replicas();
    });
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::out_of_step);
    return error.what();
  }
}

}  // namespace

TEST_CASE("thread ranks: a flipped bit in one copy of a parameter is found on whichever rank it is") {
  for (const int who : {0, 1, 2, 3}) {
    INFO(who);
    CHECK_THAT(with_flipped_bit(who, "model.norm.weight"), Contains("differ in dense parameters"));
  }
  // Experts 0 to 3 are on ranks 0 and 2.
  CHECK_THAT(with_flipped_bit(2, "model.layers.1.mlp.experts.2.up_proj.weight"),
             Contains("differ in experts"));
  // Rank 1 does not have this tensor.
  CHECK(with_flipped_bit(1, "model.layers.1.mlp.experts.2.up_proj.weight").empty());
}

TEST_CASE("thread ranks: a selection bias that differs is found in every stage") {
  for (const std::int64_t stage : {0, 3}) {
    CHECK_THROWS_WITH(run_ranks(2,
                                [&](Communicator& ranks, Context& context) {
                                  const ShardedCase of = sharded_case();
                                  ShardedModel sharded(context, ranks, of.model, of.moe, DType::f64,
                                                       {.zero = stage});
                                  sharded.parameters().initialise(1, 0.1);
                                  sharded.parameters().require_equal_replicas();
                                  const State& bias = sharded.parameters().store().states()[0];
                                  Numbers values = values_of(bias.value);
                                  if (ranks.rank() == 1) values[2] = 0.001;
                                  write_values(values, bias.value);
                                  sharded.parameters().require_equal_replicas();
                                }),
                      Contains("differ in selection biases"));
  }
}

TEST_CASE("thread ranks: a failure while values are on their way ends every rank with that failure") {
  // The number of the gather in which rank 1 fails. At each of them rank 0 is in another place, also at the
  // end of a unit.
  for (int number = 1; number <= 12; ++number) {
    CAPTURE(number);
    ShardedRunOptions options{.ranks = 2, .layout = {.zero = 3}, .steps = 1};
    options.disturbance = [number, seen = std::map<int, int>()](const Collective& call,
                                                                const Communicator& group) mutable {
      if (call.phase.name() == "values" && group.rank() == 1 && ++seen[1] == number)
        throw Error(ExitCode::out_of_memory, "planted", "", "");
      return Runs::once;
    };
    CHECK_THROWS_WITH(sharded_run(options), Contains("planted"));
  }
}

TEST_CASE("replicas: every micro-batch is a move for the watchdog, also where ranks do not meet") {
  TestContext context({.step_memory = std::int64_t{1} << 28});
  SelfCommunicator alone;
  const ShardedCase of = sharded_case();
  ShardedModel sharded(context, alone, of.model, of.moe, DType::f64, {});
  sharded.parameters().initialise(1, 0.1);
  RouterRecord record(context, sharded.model().moe_layers(), of.moe.n_routed_experts);
  std::vector<std::int64_t> moves;
  static_cast<void>(sharded.compute_gradients({4 * kSmallSeq, 4, 4}, Recompute::none, record, [&] {
    moves.push_back(alone.ledger().status().moves);
    return small_batch(context, of.model, std::ssize(moves), 1);
  }));
  REQUIRE(moves.size() == 4);
  for (std::size_t i = 1; i < moves.size(); ++i) CHECK(moves[i] > moves[i - 1]);
}
