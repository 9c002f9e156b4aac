#include "distributed/zero/gradient_reducer.hpp"

#include <array>

#include "core/kernels/accumulate.hpp"
#include "core/kernels/fill.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ranks.hpp"
#include "tests/support/sharded_store.hpp"
#include "tests/support/tensors.hpp"

using namespace granule;
using namespace granule::test;

namespace {

constexpr std::int64_t kMicroBatches = 2;

/// Adds `number` to every element of a parameter's gradient, as an operator does.
void contribute(Context& context, Param parameter, double number) {
  Grad& grad = parameter.leaf->grad;
  const Tensor numbers = Tensor::empty(context, grad.dst.shape(), DType::f64, MemoryCategory::scratch);
  fill(numbers, number);
  accumulate(numbers, {grad.dst, std::exchange(grad.beta, 1.0)});
}

void check_sums(Communicator& world, Context& context, ZeroStage stage) {
  std::vector<Param> parameters;  // of unit 0 and of unit 1
  ShardedStore sharded(context, world, stage, DType::f64, [&](ParameterStore& store) {
    parameters.push_back(store.declare("w", {5, 13}));
    store.next_unit();
    parameters.push_back(store.declare("v", {70}));
  });
  const ShardPlan& plan = sharded.parameters->plan();
  GradientReducer reducer(context, sharded.mesh, sharded.store, plan, stage);
  std::array<std::int64_t, kMicroBatches> sent{};
  reducer.begin_step();
  for (std::int64_t micro = 0; micro < kMicroBatches; ++micro) {
    reducer.begin_micro_batch(micro, kMicroBatches);
    for (const std::int64_t unit : {1, 0}) {
      reducer.enter(unit);
      contribute(context, parameters[static_cast<std::size_t>(unit)],
                 static_cast<double>(1 + world.rank() + 10 * micro));
      reducer.leave(unit);
    }
    for (const TrafficRow& row : world.ledger().traffic())
      sent[static_cast<std::size_t>(micro)] += row.phase == "gradients" ? row.calls : 0;
  }
  reducer.finish();
  for (std::size_t i = 0; i < plan.shards.size(); ++i) {
    const std::int64_t size = i == 0 ? 65 : 70;
    const Numbers part = values_of(reducer.part(i));
    for (std::size_t k = 0; k < part.size(); ++k) {
      const std::int64_t element = plan.shards[i].begin_in_bucket() + static_cast<std::int64_t>(k);
      expect(part[k] == (element < size ? 1 + 2 + 11 + 12 : 0),
             "a sum over ranks and micro-batches, and padding is zero");
    }
  }
  const bool every_time = stage >= ZeroStage::gradients;
  expect(sent[0] == (every_time ? 2 : 0), "whole gradients are summed after the last micro-batch alone");
  expect(sent[1] == (every_time ? 4 : 2), "each bucket is summed once, or once in each micro-batch");
}

}  // namespace

TEST_CASE("gradient_reducer: parts are sums over ranks and micro-batches, however often they are summed") {
  for (const ZeroStage stage :
       {ZeroStage::nothing, ZeroStage::optimizer, ZeroStage::gradients, ZeroStage::values})
    run_ranks(2, [&](Communicator& world, Context& context) { check_sums(world, context, stage); });
}
