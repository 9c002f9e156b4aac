#include "tests/support/sharded_store.hpp"

#include "distributed/zero/transient_slots.hpp"
#include "optim/adamw.hpp"

namespace granule::test {

void declare_odd(ParameterStore& store, bool tied) {
  const Param embedding = store.declare("embedding", {7, 13});
  for (const char* const layer : {"a", "b"}) {
    store.next_unit();
    store.declare(std::string(layer) + ".norm", {13}, ParameterRole::norm);
    store.declare({{5, 3, 13},
                   {{std::string(layer) + ".experts", {5, 3, 13}}},
                   ParameterRole::matrix,
                   ParameterGroup::expert});
    store.declare(std::string(layer) + ".after", {11, 3});
  }
  store.next_unit();
  store.declare("norm", {13}, ParameterRole::norm);
  if (tied) {
    store.use_again(embedding);
  } else {
    store.declare("head", {7, 13});
  }
}

ShardedStore::ShardedStore(Context& context, Communicator& world, ZeroStage stage, Precision precision,
                           const std::function<void(ParameterStore&)>& declare, std::int64_t ep)
    : mesh(make_mesh(world, {.ep = ep}, ep)) {
  declare(store);
  store.lay_out(arena_layout(mesh.position()));
  store.materialise(context, precision, Gradients::yes, residence_of(stage));
  parameters.emplace(context, mesh, store, stage);
}

ShardedBytes sharded_bytes(const ShardPlan& plan, std::int64_t units, ZeroStage stage, Precision precision) {
  const auto held = [&](ZeroStage sharded_from, const auto& of) {
    return stage >= sharded_from ? of.own : of.arena;
  };
  const std::int64_t value = size_of(precision.values), gradient = size_of(precision.gradients);
  ShardedBytes bytes{
      .weights = held(ZeroStage::values, plan) * value,
      .gradients = held(ZeroStage::gradients, plan.trainable) * gradient,
      .optimizer = held(ZeroStage::optimizer, plan.trainable) * AdamW::bytes_per_element(precision)};
  const auto slots = [&](std::size_t shards) { return TransientSlots(plan, units, shards).elements(); };
  if (stage >= ZeroStage::gradients) bytes.communication += slots(plan.trainable.shards) * gradient;
  if (stage >= ZeroStage::values) bytes.communication += slots(plan.shards.size()) * value;
  return bytes;
}

}  // namespace granule::test
