#include "distributed/zero/gradient_reducer.hpp"

#include "core/kernels/accumulate.hpp"

namespace granule {

GradientReducer::GradientReducer(Context& context, const Mesh& mesh, ParameterStore& store,
                                 const ShardPlan& plan, ZeroStage stage)
    : mesh_(mesh),
      store_(store),
      plan_(plan),
      stage_(stage),
      slots_(plan, store.units(), plan.trainable.shards) {
  if (stage < ZeroStage::gradients) return;
  betas_.resize(plan.trainable.shards);
  const DType dtype = store.precision().gradients;
  parts_ = Tensor::zeros(context, {plan.trainable.own}, dtype, MemoryCategory::gradients);
  slots_.allocate(context, dtype);
}

void GradientReducer::begin_step() {
  store_.begin_step();
  std::fill(betas_.begin(), betas_.end(), 0.0);
}

void GradientReducer::begin_micro_batch(std::int64_t index, std::int64_t of) {
  last_ = index + 1 == of;
}

Tensor GradientReducer::part(std::size_t shard) const {
  const ShardPlan::Shard& own = plan_.shards[shard];
  if (stage_ >= ZeroStage::gradients) return parts_.slice(own.offset, {own.size()});
  return store_.gradients().slice(own.begin(), {own.size()});
}

Tensor GradientReducer::part(const ArenaPart::Range& range) const {
  if (stage_ >= ZeroStage::gradients) return parts_.slice(range.at, {range.size});
  return store_.gradients().slice(range.begin, {range.size});
}

void GradientReducer::open(std::size_t shard) {
  settle(sums_[slots_.slot_of(shard)]);
  store_.bind_gradients(plan_.shards[shard].bucket, slots_.place_of(shard));
}

void GradientReducer::enter(std::int64_t unit) {
  poll();
  if (stage_ < ZeroStage::gradients) return;
  for (std::size_t i = 0; i < plan_.trainable.shards; ++i) {
    if (plan_.shards[i].bucket.last_user == unit) open(i);
  }
}

void GradientReducer::leave(std::int64_t unit) {
  if (stage_ < ZeroStage::gradients && !last_) return;
  for (std::size_t i = 0; i < plan_.trainable.shards; ++i) {
    if (plan_.shards[i].bucket.unit != unit) continue;
    store_.finish_gradients(plan_.shards[i].bucket);
    if (stage_ < ZeroStage::gradients) {
      sum_whole(i);
    } else {
      sum_transient(i);
    }
  }
}

void GradientReducer::sum_whole(std::size_t shard) {
  const ShardPlan::Shard& own = plan_.shards[shard];
  Communicator& ranks = ranks_of(mesh_, own.bucket.group);
  const Tensor whole = store_.gradients().slice(own.bucket.offset, {own.bucket.size});
  Pending pending = stage_ == ZeroStage::nothing ? ranks.all_reduce(whole, "gradients")
                                                 : ranks.reduce_scatter(whole, part(shard), "gradients");
  sums_[0].push_back({std::move(pending), shard, {}});
}

void GradientReducer::sum_transient(std::size_t shard) {
  const ShardPlan::Shard& own = plan_.shards[shard];
  const Tensor whole = slots_.place_of(shard), mine = whole.slice(own.begin_in_bucket(), {own.size()});
  sums_[slots_.slot_of(shard)].push_back(
      {ranks_of(mesh_, own.bucket.group).reduce_scatter(whole, mine, "gradients"), shard, mine});
  store_.bind_gradients(own.bucket, Tensor());
}

void GradientReducer::settle(std::vector<Sum>& sums) {
  for (Sum& sum : sums) {
    sum.pending.wait();
    if (!sum.part.defined()) continue;
    accumulate(sum.part, {part(sum.shard), betas_[sum.shard]});
    betas_[sum.shard] = 1.0;
  }
  sums.clear();
}

void GradientReducer::finish() {
  for (auto& sums : sums_) settle(sums);
}

void GradientReducer::poll() {
  for (auto& sums : sums_) {
    for (Sum& sum : sums) static_cast<void>(sum.pending.poll());
  }
}

}  // namespace granule
