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
      slots_(plan, store.units(), plan.shards.size()),
      parts_(Tensor::zeros(context, {plan.own}, store.precision().values, MemoryCategory::weights)) {
  slots_.allocate(context, store.precision().values);
  holder_.fill(kNobody);
}

void ValueGatherer::start(std::size_t group) {
  const TransientSlots::Group& wanted = slots_.groups()[group];
  std::vector<Pending>& pending = pending_[wanted.slot];
  wait_all(pending);  // of a pass that was given up
  for (const std::size_t i : wanted.shards) {
    const ShardPlan::Shard& shard = plan_.shards[i];
    const Tensor part = parts_.slice(shard.offset, {shard.size()});
    pending.push_back(ranks_of(mesh_, shard.bucket.group).all_gather(part, slots_.place_of(i), "values"));
  }
}

void ValueGatherer::want(std::int64_t unit) {
  for (const std::size_t group : slots_.groups_of(unit)) {
    std::size_t& holder = holder_[slots_.groups()[group].slot];
    if (holder == group) continue;
    holder = group;
    start(group);
  }
}

void ValueGatherer::enter(std::int64_t unit, Direction direction) {
  want(unit);
  want(direction == Direction::forward ? unit + 1 : unit - 1);
  for (const std::size_t group : slots_.groups_of(unit)) {
    wait_all(pending_[slots_.groups()[group].slot]);
    for (const std::size_t i : slots_.groups()[group].shards)
      store_.bind_values(plan_.shards[i].bucket, slots_.place_of(i));
  }
}

void ValueGatherer::leave(std::int64_t unit) {
  for (const std::size_t group : slots_.groups_of(unit)) {
    for (const std::size_t i : slots_.groups()[group].shards)
      store_.bind_values(plan_.shards[i].bucket, Tensor());
  }
}

void ValueGatherer::values_changed() {
  for (auto& pending : pending_) wait_all(pending);
  holder_.fill(kNobody);
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
