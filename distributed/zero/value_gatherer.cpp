#include "distributed/zero/value_gatherer.hpp"

namespace granule {
namespace {

void wait_all(std::vector<Pending>& pending) {
  for (Pending& one : pending) one.wait();
  pending.clear();
}

}  // namespace

ValueGatherer::ValueGatherer(Context& context, const Mesh& mesh, ParameterStore& store, const ShardPlan& plan)
    : mesh_(mesh),
      store_(store),
      plan_(plan),
      transient_(make_transient_plan(plan, store.units(), plan.shards.size())),
      schedule_(transient_),
      parts_(Tensor::zeros(context, {plan.own}, store.precision().values, MemoryCategory::weights)),
      slots_(context, plan, transient_, store.precision().values) {}

void ValueGatherer::start(std::size_t group) {
  const TransientPlan::Group& wanted = transient_.groups[group];
  std::vector<Pending>& pending = pending_[wanted.slot];
  wait_all(pending);  // of a pass that was given up
  for (const std::size_t i : wanted.shards) {
    const BucketShard& shard = plan_.shards[i];
    const Tensor part = parts_.slice(shard.offset, {shard.size()});
    pending.push_back(ranks_of(mesh_, shard.bucket.group).all_gather(part, slots_.place_of(i), "values"));
  }
}

void ValueGatherer::enter(std::int64_t unit, Direction direction) {
  for (const std::size_t group : schedule_.enter(unit, direction)) start(group);
  for (const std::size_t group : transient_.of_unit[static_cast<std::size_t>(unit)]) {
    wait_all(pending_[transient_.groups[group].slot]);
    for (const std::size_t i : transient_.groups[group].shards)
      store_.bind_values(plan_.shards[i].bucket, slots_.place_of(i));
  }
}

void ValueGatherer::leave(std::int64_t unit) {
  for (const std::size_t group : transient_.of_unit[static_cast<std::size_t>(unit)]) {
    for (const std::size_t i : transient_.groups[group].shards)
      store_.bind_values(plan_.shards[i].bucket, Tensor());
  }
}

void ValueGatherer::values_changed() {
  for (auto& pending : pending_) wait_all(pending);
  schedule_.forget();
}

/// It runs when a unit ends, even by an exception. The wait that follows reports a failure.
void ValueGatherer::poll() try {
  for (auto& pending : pending_) {
    for (Pending& one : pending) static_cast<void>(one.poll());
  }
} catch (const Error&) {
  return;
}

}  // namespace granule
