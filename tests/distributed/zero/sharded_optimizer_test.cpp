#include "distributed/zero/sharded_optimizer.hpp"

#include <array>
#include <cmath>

#include "distributed/communicators/self_communicator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

TEST_CASE("sharded_optimizer: the host waits once for the norm, however many buckets there are") {
  for (const std::int64_t units : {1, 7}) {
    CAPTURE(units);
    TestContext context;
    SelfCommunicator alone;
    ShardedStore sharded(context, alone, ZeroStage::nothing, DType::f64, [&](ParameterStore& store) {
      for (std::int64_t unit = 0; unit < units; ++unit) {
        if (unit > 0) store.next_unit();
        store.declare(std::to_string(unit), {5, 13});
      }
    });
    const ShardedParameters& parameters = *sharded.parameters;
    REQUIRE(std::ssize(parameters.plan().shards) == units);
    const Numbers gradients = normal_values(sharded.store.arena_size(), 5);
    write_values(gradients, sharded.store.gradients());
    double sum = 0.0;
    for (const double g : gradients) sum += g * g;
    CHECK(GradientNorm(parameters).get() == Approx(std::sqrt(sum)).epsilon(1e-13));  // some 500 roundings
    CHECK(context.profile().waits() == 1);
  }
}

namespace {

constexpr std::array kStages{ZeroStage::nothing, ZeroStage::optimizer, ZeroStage::gradients,
                             ZeroStage::values};

ShardedBytes held(const MemoryTable& memory) {
  return {.weights = memory.current(MemoryCategory::weights),
          .gradients = memory.current(MemoryCategory::gradients),
          .optimizer = memory.current(MemoryCategory::optimizer),
          .communication = memory.current(MemoryCategory::communication)};
}

}  // namespace

TEST_CASE(
    "sharded_optimizer: a rank holds the bytes that sharded_bytes predicts, in every precision and stage") {
  for (const int ranks : {1, 2}) {
    run_ranks(ranks, [](Communicator& world, Context& context) {
      for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
        for (const ZeroStage stage : kStages) {
          ShardedStore sharded(context, world, stage, dtype, [](ParameterStore& s) { declare_odd(s, true); });
          const ShardedOptimizer optimizer(context, *sharded.parameters, {}, DecayOf::matrices);
          const ShardPlan& plan = sharded.parameters->plan();
          expect(held(context.memory()) == sharded_bytes(plan, sharded.store.units(), stage, dtype),
                 fmt::format("{}, ZeRO {}", name_of(dtype), static_cast<int>(stage)));
          expect(optimizer.masters().data.defined() == (dtype == DType::bf16), "masters only beside bf16");
        }
      }
    });
  }
}

TEST_CASE(
    "sharded_optimizer: values in bf16 are gathered at 2 bytes each, and a step rounds them from masters") {
  run_ranks(2, [](Communicator& world, Context& context) {
    for (const ZeroStage stage : {ZeroStage::optimizer, ZeroStage::values}) {
      ShardedStore sharded(context, world, stage, DType::bf16,
                           [](ParameterStore& s) { declare_odd(s, false); });
      ShardedParameters& parameters = *sharded.parameters;
      ShardedOptimizer optimizer(context, parameters, {}, DecayOf::matrices);
      const std::int64_t before = world.ledger().bytes(CollectiveKind::all_gather);
      parameters.values_changed();
      for (std::int64_t unit = 0; unit < sharded.store.units(); ++unit) {
        parameters.enter(unit, Direction::forward);
        parameters.leave(unit, Direction::forward);
      }
      const std::int64_t sent = world.ledger().bytes(CollectiveKind::all_gather) - before;
      expect(sent == 2 * parameters.plan().own, fmt::format("{} bytes sent", sent));
      expect(parameters.own_gradients(0).dtype() == DType::f32, "gradients are f32");
      for (std::size_t i = 0; i < parameters.plan().trainable.shards; ++i) {
        const Tensor values = parameters.own_values(i);
        write_values(Numbers(static_cast<std::size_t>(values.numel()), 3.0), values);
      }
      const ShardedOptimizer later(context, parameters, {}, DecayOf::matrices);
      expect(values_of(later.masters().data)[0] == 3.0, "values that are there become the masters");
      parameters.keep_masters(optimizer.masters());
      parameters.initialise(3, 0.5);
      const Numbers start = values_of(optimizer.masters().data);
      const auto rounded = [&] {
        Numbers values = values_of(optimizer.masters().data);
        for (double& v : values) v = static_cast<double>(widened(bf16(static_cast<float>(v))));
        return values;
      };
      const auto own = [&] {
        Numbers values;
        for (std::size_t i = 0; i < parameters.plan().trainable.shards; ++i) {
          const Numbers part = values_of(parameters.own_values(i));
          values.insert(values.end(), part.begin(), part.end());
        }
        return values;
      };
      expect(own() == rounded(), "initial values are the rounded masters");
      expect(own() != start, "masters are more exact");
      for (std::size_t i = 0; i < parameters.plan().trainable.shards; ++i) {
        const Tensor gradients = parameters.own_gradients(i);
        write_values(normal_values(gradients.numel(), i), gradients);
      }
      optimizer.step(1e-3, 1.0);
      expect(values_of(optimizer.masters().data) != start, "a step moves the masters");
      expect(own() == rounded(), "and rounds them into the values");
    }
  });
}
