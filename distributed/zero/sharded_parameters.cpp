#include "distributed/zero/sharded_parameters.hpp"

#include <string>

#include "core/kernels/accumulate.hpp"
#include "core/kernels/fill.hpp"
#include "core/transfer_pieces.hpp"
#include "data/files/digest.hpp"
#include "distributed/agreement.hpp"

namespace granule {
namespace {

std::int64_t as_integer(Xxh3& hash) {
  return static_cast<std::int64_t>(std::stoull(hash.finish(), nullptr, 16));
}

void add_to(Xxh3& hash, const Tensor& values) {
  read_in_pieces(values, [&](std::span<const std::byte> bytes) { hash.add(bytes); });
}

/// The hash of all buckets of a group.
std::int64_t hash_of(const ArenaPart& part, const ShardPlan& plan, ParameterGroup group) {
  Xxh3 hash;
  for (const ShardPlan::Shard& shard : plan.shards) {
    const Bucket& bucket = shard.bucket;
    if (bucket.group == group && (bucket.trainable || part.covers == Covers::everything))
      add_to(hash, part.data.slice(bucket.offset, {bucket.size}));
  }
  return as_integer(hash);
}

}  // namespace

ShardedParameters::ShardedParameters(Context& context, const Mesh& mesh, ParameterStore& store,
                                     ZeroStage stage)
    : mesh_(mesh),
      store_(store),
      stage_(stage),
      plan_(make_shard_plan(store, mesh.position())),
      reducer_(context, mesh, store, plan_, stage) {
  if (stage >= ZeroStage::values) gatherer_.emplace(context, mesh, store, plan_);
}

void ShardedParameters::initialise(std::uint64_t seed, double initializer_range) {
  for (const State& state : store_.states()) fill_zero(state.value);
  for (const ArenaPart& held : places_of_values()) {
    for (const LogicalTensor& tensor : store_.logical()) {
      if (!held.has(tensor)) continue;
      const std::int64_t begin = tensor.offset, end = begin + tensor.shape.numel();
      for (const ArenaPart::Range& range : ranges_held(plan_, held.extent, begin, end)) {
        fill_initial(tensor, range.begin - begin, held.data.slice(range.at, {range.size}), seed,
                     initializer_range);
      }
    }
  }
  if (gatherer_) gatherer_->values_changed();
}

void ShardedParameters::keep_masters(const ArenaPart& masters) {
  masters_ = masters;
  if (masters.extent == Extent::whole)
    return accumulate(store_.values().slice(0, masters.data.shape()), {masters.data, 0.0});
  for (std::size_t i = 0; i < plan_.trainable.shards; ++i) {
    const ShardPlan::Shard& own = plan_.shards[i];
    accumulate(own_values(i), {masters.data.slice(own.offset, {own.size()}), 0.0});
  }
}

ArenaPart ShardedParameters::exact_values(const LogicalTensor& tensor) const {
  return masters_.data.defined() && masters_.has(tensor) ? masters_ : values();
}

std::vector<ArenaPart> ShardedParameters::places_of_values() const {
  if (!masters_.data.defined()) return {values()};
  return {masters_, values()};
}

void ShardedParameters::enter(std::int64_t unit, Direction direction) {
  if (gatherer_) gatherer_->enter(unit, direction);
  if (direction == Direction::backward) reducer_.enter(unit);
}

void ShardedParameters::leave(std::int64_t unit, Direction direction) {
  if (direction == Direction::backward) reducer_.leave(unit);
  if (!gatherer_) return;
  gatherer_->leave(unit);
  gatherer_->poll();
}

Tensor ShardedParameters::own_values(std::size_t shard) const {
  const ShardPlan::Shard& own = plan_.shards[shard];
  if (gatherer_) return gatherer_->parts().slice(own.offset, {own.size()});
  return store_.values().slice(own.begin(), {own.size()});
}

ArenaPart ShardedParameters::values() const {
  if (gatherer_) return {gatherer_->parts(), Extent::parts};
  return {store_.values(), Extent::whole};
}

void ShardedParameters::values_changed() {
  if (gatherer_) return gatherer_->values_changed();
  if (stage_ == ZeroStage::nothing) return;
  std::vector<Pending> pending;
  for (std::size_t i = 0; i < plan_.trainable.shards; ++i) {
    const Bucket& bucket = plan_.shards[i].bucket;
    pending.push_back(
        ranks_of(mesh_, bucket.group)
            .all_gather(own_values(i), store_.values().slice(bucket.offset, {bucket.size}), "values"));
  }
  for (Pending& one : pending) one.wait();
}

void ShardedParameters::require_equal_replicas() const {
  Xxh3 states;
  for (const State& state : store_.states()) add_to(states, state.value);
  require_same_on_all(mesh_.world, as_integer(states), "selection biases", "replicas");
  for (const ArenaPart& part : places_of_values()) {
    if (part.extent != Extent::whole) continue;  // no two ranks hold the same
    for (const ParameterGroup group : {ParameterGroup::dense, ParameterGroup::expert}) {
      require_same_on_all(ranks_of(mesh_, group), hash_of(part, plan_, group),
                          group == ParameterGroup::dense ? "dense parameters" : "experts", "replicas");
    }
  }
}

}  // namespace granule
