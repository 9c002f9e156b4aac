#include "distributed/zero/sharded_optimizer.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/transfer.hpp"
#include "distributed/agreement.hpp"
#include "optim/grad_norm.hpp"

namespace granule {
namespace {

/// Where the trainable part of the arena decays and where not. Padding is zero and may decay.
std::vector<DecayRange> decay_of_arena(const ParameterStore& store, DecayOf decay) {
  std::vector<DecayRange> ranges;
  for (const LogicalTensor& tensor : store.logical()) {
    if (!tensor.trainable) continue;
    if (decay == DecayOf::matrices && tensor.role != ParameterRole::matrix)
      ranges.push_back({tensor.offset, tensor.offset + tensor.shape.numel(), Decay::no});
  }
  std::ranges::sort(ranges, {}, &DecayRange::begin);
  std::vector<DecayRange> all;
  std::int64_t at = 0;
  for (const DecayRange& kept : ranges) {
    if (kept.begin > at) all.push_back({at, kept.begin, Decay::yes});
    all.push_back(kept);
    at = kept.end;
  }
  if (at < store.trainable_size()) all.push_back({at, store.trainable_size(), Decay::yes});
  return all;
}

/// The same for what a rank updates, counted from the beginning of that.
std::vector<DecayRange> decay_ranges(const ShardedParameters& parameters, Extent extent, DecayOf decay) {
  std::vector<DecayRange> ranges;
  for (const DecayRange& range : decay_of_arena(parameters.store(), decay)) {
    for (const ArenaPart::Range& held : ranges_held(parameters.plan(), extent, range.begin, range.end)) {
      if (!ranges.empty() && ranges.back().decay == range.decay) {
        ranges.back().end = held.at + held.size;
      } else {
        ranges.push_back({held.at, held.at + held.size, range.decay});
      }
    }
  }
  return ranges;
}

Extent extent_of(ZeroStage stage) {
  return stage == ZeroStage::nothing ? Extent::whole : Extent::parts;
}

std::int64_t elements(const ShardedParameters& parameters, Extent extent) {
  const ShardPlan::Trainable& trainable = parameters.plan().trainable;
  return extent == Extent::whole ? trainable.arena : trainable.own;
}

}  // namespace

ShardedOptimizer::ShardedOptimizer(Context& context, ShardedParameters& parameters, const AdamWConfig& config,
                                   DecayOf decay, Place place)
    : parameters_(parameters),
      extent_(extent_of(parameters.stage())),
      adamw_(context, config, parameters.store().precision(), elements(parameters, extent_),
             decay_ranges(parameters, extent_, decay), place) {
  if (adamw_.masters().defined()) parameters_.keep_masters(masters());
}

GradientNorm::GradientNorm(const ShardedParameters& parameters) : world_(&parameters.mesh().world) {
  const auto shards = static_cast<std::int64_t>(parameters.plan().trainable.shards);
  const Tensor sums =
      Tensor::empty(parameters.values().data.context(), {shards}, DType::f64, MemoryCategory::scratch);
  for (std::int64_t i = 0; i < shards; ++i)
    squared_norm(parameters.own_gradients(static_cast<std::size_t>(i)), sums.slice(i, {1}));
  of_shards_ = read_back<double>(sums);
}

double GradientNorm::get() const {
  const std::span<const double> of_shards = of_shards_.get();
  double sum = std::accumulate(of_shards.begin(), of_shards.end(), 0.0);
  world_->all_reduce(std::span(&sum, 1), ReduceOp::sum, "gradient norm").wait();
  require_same_on_all(*world_, std::bit_cast<std::int64_t>(sum), "the norm of the gradients", "norm check");
  return std::sqrt(sum);
}

void ShardedOptimizer::step(double lr, double gradient_scale) {
  std::vector<AdamWPiece> pieces;
  if (extent_ == Extent::whole) {
    const Tensor& gradients = parameters_.store().gradients();
    pieces.push_back({parameters_.store().values().slice(0, gradients.shape()), gradients});
  } else {
    for (std::size_t i = 0; i < parameters_.plan().trainable.shards; ++i)
      pieces.push_back({parameters_.own_values(i), parameters_.own_gradients(i)});
  }
  adamw_.step(pieces, lr, gradient_scale);
  parameters_.values_changed();
}

}  // namespace granule
