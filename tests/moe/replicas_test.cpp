// Copies that ranks hold of the same parameters: one flipped bit in one of them is found, whoever has it.
#include <bit>

#include <catch2/catch.hpp>

#include "moe/sharded_model.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_run.hpp"

using namespace granule;
using namespace granule::test;
using Catch::Contains;

namespace {

/// What becomes of 4 ranks, one of which has one bit of this tensor flipped.
std::string with_flipped_bit(int who, const std::string& name) {
  try {
    run_ranks(4, [&](Communicator& ranks, Context& context) {
      const ShardedCase of = sharded_case();
      ShardedModel sharded(context, ranks, of.model, of.moe, DType::f64,
                           {.ep = 2, .zero = ZeroStage::optimizer});
      sharded.parameters().initialise(1, 0.1);
      sharded.parameters().require_equal_replicas();
      const ParameterStore& store = sharded.parameters().store();
      if (ranks.rank() == who && store.has(name)) {
        double& value = store.value_of(store.find(name)).span<double>()[3];
        value = std::bit_cast<double>(std::bit_cast<std::uint64_t>(value) ^ 1U);
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
  CHECK(with_flipped_bit(1, "model.layers.1.mlp.experts.2.up_proj.weight").empty());  // it has none
}
